DROP TABLE {schema}.workflows;
