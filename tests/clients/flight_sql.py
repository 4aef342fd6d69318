#!/usr/bin/env python3
"""ADBC asks a running Tarn over Flight SQL: tables, rows, values, what is refused.

    flight_sql.py HOST PORT [TOKEN]

The lake has 30 CloudTrail records, e00 to e29, of which every third stops a trail. Needs adbc-driver-flightsql,
adbc-driver-manager and pyarrow. Exits with 1 if an answer is not what it should be.
"""

import sys

import adbc_driver_flightsql.dbapi as flight_sql
from adbc_driver_flightsql import DatabaseOptions


def check(what, found, expected):
    if found != expected:
        sys.exit(f"{what}: {found!r}, expected {expected!r}")


def refused(what, says, ask):
    try:
        ask()
    except Exception as error:
        if says not in str(error):
            sys.exit(f"{what}: {error}, expected it to say {says!r}")
    else:
        sys.exit(f"{what}: it was answered")


def main(host, port, token=None):
    options = {DatabaseOptions.AUTHORIZATION_HEADER.value: f"Bearer {token}"} if token else {}
    with flight_sql.connect(f"grpc://{host}:{port}", db_kwargs=options, autocommit=True) as connection:
        check("vendor", connection.adbc_get_info()["vendor_name"], "Tarn")
        check("table types", connection.adbc_get_table_types(), ["TABLE"])
        objects = connection.adbc_get_objects(depth="tables").read_all().to_pylist()
        check("catalogs", [catalog["catalog_name"] for catalog in objects], ["tarn"])
        schemas = objects[0]["catalog_db_schemas"]
        check("schemas", [schema["db_schema_name"] for schema in schemas], ["public"])
        tables = [table["table_name"] for table in schemas[0]["db_schema_tables"]]
        check("api_activity is a table", "api_activity" in tables, True)
        schema = connection.adbc_get_table_schema("api_activity")
        check("time's type", str(schema.field("time").type), "timestamp[us, tz=UTC]")
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*), min(metadata.uid) FROM api_activity")
            check("rows", cursor.fetchall(), [(30, "e00")])
            # Prepared, with values.
            sql = "SELECT metadata.uid FROM api_activity WHERE api.operation = $1 ORDER BY 1 LIMIT 2"
            cursor.execute(sql, ("StopLogging",))
            check("rows with a value", cursor.fetchall(), [("e00",), ("e03",)])
            cursor.execute("SELECT * FROM api_activity")
            check("all rows as Arrow", cursor.fetch_arrow_table().num_rows, 30)
            refused("a write", "only reads", lambda: cursor.execute("DROP TABLE api_activity"))
            refused("no table", "no table", lambda: cursor.execute("SELECT * FROM nowhere"))
    if token:
        wrong = {DatabaseOptions.AUTHORIZATION_HEADER.value: "Bearer wrong"}

        def ask():
            with flight_sql.connect(f"grpc://{host}:{port}", db_kwargs=wrong, autocommit=True) as connection:
                connection.cursor().execute("SELECT 1")

        refused("a wrong token", "credentials", ask)


main(*sys.argv[1:])
