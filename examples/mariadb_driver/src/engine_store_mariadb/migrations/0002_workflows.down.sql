DROP TABLE IF EXISTS {schema}.workflows;
