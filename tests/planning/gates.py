"""Damaged and legal variants of the seeds, through the compiled SQL of `suspicious_data`.

    python gates.py DATABASE SCHEMA COMPILED

DATABASE is a built DuckDB file (it is only read), COMPILED the folder of dbt's compiled models. Every kind of damage
must be a finding with its reason, and every legal set none. Exit code 1 names what was missed.
"""

import pathlib
import sys

import duckdb

ORDERS, MOVEMENTS, PURCHASES, PRODUCTS = (
    "raw_customer_orders",
    "raw_inventory_movements",
    "raw_purchase_orders",
    "raw_products",
)
BUSY = f"(select product_id from {ORDERS} group by product_id order by count(*) desc limit 1)"


def without(condition_of_time):
    """Statements that delete the orders and movements of a time, and the shipments of the deleted orders."""
    return [
        f"delete from {ORDERS} where " + condition_of_time.format(at="ordered_at"),
        f"delete from {MOVEMENTS} where " + condition_of_time.format(at="moved_at"),
        f"delete from {MOVEMENTS} where order_line_id is not null "
        f"and order_line_id not in (select order_line_id from {ORDERS})",
    ]


def copied_orders(where, line="'N-' || order_line_id", order="'N-' || order_id", at="ordered_at", times=1):
    return [
        f"insert into {ORDERS} select {ORDERS}.* replace ({line} || n as order_line_id, {order} || n as order_id, "
        f"{at} as ordered_at) from {ORDERS}, range(1, {times + 1}) as copies (n) where {where}"
    ]


# Name: the statements, and what one finding's reason must contain.
DAMAGE = {
    "a day is missing": (without("cast({at} as date) = '2026-06-10'"), "missing days"),
    "a warehouse is missing for days": (
        without("warehouse_id = 'WH-02' and cast({at} as date) between '2026-07-06' and '2026-07-10'"),
        "missing days",
    ),
    "a warehouse ends early": (
        without("warehouse_id = 'WH-03' and cast({at} as date) >= '2026-10-24'"),
        "late data",
    ),
    "orders end early": (
        [f"delete from {ORDERS} where ordered_at >= '2026-10-26'"],
        "late data",
    ),
    "a day was loaded many times": (
        copied_orders(
            "cast(ordered_at as date) = '2026-09-15'",
            at="ordered_at + to_minutes(cast(7 * n as bigint))",
            times=9,
        ),
        "volume above usual",
    ),
    "all units of orders are multiplied": (
        [f"update {ORDERS} set quantity_ordered = quantity_ordered * 10 where ordered_at >= '2026-10-01'"],
        "level above usual",
    ),
    "most orders are missing": (
        [
            f"delete from {ORDERS} where ordered_at >= '2026-10-12' "
            "and cast(right(order_line_id, 3) as integer) % 7 <> 0"
        ],
        "level below usual",
    ),
    "orders are repeated under new ids": (
        copied_orders("order_line_id between 'OL-0003000' and 'OL-0003002'"),
        "duplicate under a new id",
    ),
    "orders are repeated seconds later": (
        copied_orders(
            "order_line_id between 'OL-0002000' and 'OL-0002020'", at="ordered_at + to_seconds(5)"
        ),
        "duplicate under a new id",
    ),
    "receipts are repeated under new ids": (
        [
            f"insert into {MOVEMENTS} select * replace ('N-' || movement_id as movement_id) from {MOVEMENTS} "
            "where movement_type = 'receipt' and purchase_order_line_id is not null limit 5"
        ],
        "duplicate under a new id",
    ),
    "a product is ordered in other units": (
        [
            f"update {ORDERS} set quantity_ordered = quantity_ordered * 12 "
            f"where ordered_at >= '2026-10-01' and product_id = {BUSY}"
        ],
        "units unlike earlier lines",
    ),
    "receipts are in other units": (
        [
            f"update {MOVEMENTS} set quantity = quantity * 10 "
            "where movement_type = 'receipt' and moved_at >= '2026-10-01'"
        ],
        "more received than ordered",
    ),
    "a standard cost loses its decimal point": (
        [f"update {PRODUCTS} set unit_cost = unit_cost * 100 where product_id = 'PRD-00004'"],
        "standard cost far from the price list",
    ),
    "a standard cost doubles": (
        [f"update {PRODUCTS} set unit_cost = unit_cost * 2 where product_id = 'PRD-00009'"],
        "standard cost far from the price list",
    ),
    "suppliers ask half as much again": (
        [f"update {PURCHASES} set unit_cost = unit_cost * 1.5 where ordered_on >= '2026-10-15'"],
        "cost far from the standard cost",
    ),
    "prices are in cents": (
        [f"update {ORDERS} set unit_price = unit_price * 100 where ordered_at >= '2026-10-30'"],
        "price far from the list price",
    ),
}

EVEN_RECEIPTS = (
    f"select movement_id from {MOVEMENTS} where movement_type = 'receipt' "
    "and purchase_order_line_id is not null and quantity % 2 = 0 order by movement_id limit 40"
)


def split_receipts(at):
    return [
        f"create temp table halves as select * from {MOVEMENTS} where movement_id in ({EVEN_RECEIPTS})",
        f"update {MOVEMENTS} set quantity = quantity // 2 "
        "where movement_id in (select movement_id from halves)",
        f"insert into {MOVEMENTS} select * replace ('H-' || movement_id as movement_id, "
        f"quantity // 2 as quantity, {at} as moved_at) from halves",
        "drop table halves",
    ]


LEGAL = {
    "the seeds as they are": [],
    "split deliveries in one second": split_receipts("moved_at"),
    "split deliveries hours later": split_receipts("moved_at + to_hours(3)"),
    "returns to another warehouse": [
        f"update {MOVEMENTS} set warehouse_id = case warehouse_id when 'WH-01' then 'WH-02' else 'WH-01' end "
        "where movement_type = 'return' and cast(right(movement_id, 2) as integer) % 4 = 0"
    ],
    "transfers in transit": [
        f"delete from {MOVEMENTS} where movement_type = 'transfer_in' and moved_at >= '2026-10-20'"
    ],
    "lines added later": [
        f"insert into {ORDERS} select * replace ('N-' || order_line_id as order_line_id, "
        "(select product_id from raw_products order by hash(order_line_id || product_id) limit 1) as product_id, "
        "ordered_at + to_hours(2) as ordered_at, 0 as unit_price, 2 as quantity_ordered) "
        f"from {ORDERS} where cast(right(order_line_id, 2) as integer) = 17"
    ],
    "free samples": [
        f"update {ORDERS} set unit_price = 0 where cast(right(order_line_id, 2) as integer) = 40"
    ],
    "a new product": [
        f"insert into {PRODUCTS} select * replace ('PRD-90000' as product_id, date '2026-10-20' as launched_on) "
        f"from {PRODUCTS} where product_id = 'PRD-00002'",
        f"insert into {ORDERS} select * replace ('N-' || order_line_id as order_line_id, "
        "'N-' || order_id as order_id, 'PRD-90000' as product_id, "
        f"(select unit_price from {PRODUCTS} where product_id = 'PRD-00002') as unit_price) "
        f"from {ORDERS} where order_line_id in (select min(order_line_id) from {ORDERS} "
        "where ordered_at >= '2026-10-20' group by order_id)",
    ],
}


def findings(database, schema, compiled, statements):
    """Reasons and numbers of findings after the statements, on a copy in memory of the seeds."""
    data = duckdb.connect()
    data.execute(f"attach '{database}' as built (read_only)")
    names = "select table_name from duckdb_tables() where database_name = 'built' and schema_name = ?"
    for (name,) in data.execute(names, [schema]).fetchall():
        if name.startswith("raw_"):
            data.execute(f"create table {name} as from built.{schema}.{name}")
    for statement in statements:
        data.execute(statement)
    models = sorted(pathlib.Path(compiled, "bronze").glob("stg_*.sql"))
    models.append(pathlib.Path(compiled, "silver", "daily_inventory.sql"))
    models.append(pathlib.Path(compiled, "gold", "suspicious_data.sql"))
    for model in models:
        sql = model.read_text().replace(f'"{pathlib.Path(database).stem}".', "").replace(f'"{schema}".', "")
        kind = "view" if model.stem.startswith("stg_") else "table"
        data.execute(f"create {kind} {model.stem} as {sql}")
    return dict(data.execute("select reason, count(*) from suspicious_data group by reason").fetchall())


def main():
    database, schema, compiled = sys.argv[1:]
    missed = []
    for name, (statements, reason) in DAMAGE.items():
        found = findings(database, schema, compiled, statements)
        if reason not in found:
            missed.append(f"damage: {name}: expected '{reason}', found {found}")
    for name, statements in LEGAL.items():
        found = findings(database, schema, compiled, statements)
        if found:
            missed.append(f"legal: {name}: found {found}")
    print("\n".join(missed) or f"{len(DAMAGE)} kinds of damage found, {len(LEGAL)} legal sets passed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
