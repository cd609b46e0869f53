"""The MariaDB driver of engine-store."""
