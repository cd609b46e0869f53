DROP TABLE {schema}.tasks;
