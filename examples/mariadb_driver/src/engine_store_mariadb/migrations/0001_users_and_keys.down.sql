DROP TABLE IF EXISTS {schema}.api_keys;
DROP TABLE IF EXISTS {schema}.users;
