DROP TABLE IF EXISTS {schema}.leases;
DROP TABLE IF EXISTS {schema}.tasks;
