DROP TABLE IF EXISTS {schema}.events;
