DROP TABLE {schema}.api_keys;
DROP TABLE {schema}.users;
