DROP TABLE {schema}.events;
