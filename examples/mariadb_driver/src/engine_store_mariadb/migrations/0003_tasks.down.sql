DROP TABLE IF EXISTS {schema}.tasks;
