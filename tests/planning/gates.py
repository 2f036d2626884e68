"""Damaged and legal variants of the seeds, through the compiled SQL of all models and their tests.

    python gates.py DATABASE SCHEMA COMPILED

DATABASE is a built DuckDB file (it is only read), COMPILED the folder of dbt's compiled models and tests. Damage must be
a finding with its reason, no test may stop gold, and gold must be near to that of the undamaged seeds. A legal set has
no finding, and the gate changes no row of the undamaged seeds, so that gold is the same with and without it. Exit code
1 names what was missed.
"""

import concurrent.futures
import pathlib
import re
import sys

import duckdb

ORDERS, MOVEMENTS, PURCHASES, PRODUCTS, BREAKS = (
    "raw_customer_orders",
    "raw_inventory_movements",
    "raw_purchase_orders",
    "raw_products",
    "raw_price_breaks",
)
BUSY = f"(select product_id from {ORDERS} group by product_id order by count(*) desc, product_id limit 1)"


def without(condition_of_time):
    """Statements that delete the orders and movements of a time."""
    return [
        f"delete from {ORDERS} where " + condition_of_time.format(at="ordered_at"),
        f"delete from {MOVEMENTS} where " + condition_of_time.format(at="moved_at"),
    ]


def copied_orders(where, at="ordered_at", times=1):
    """The orders again under new ids, as a feed that was loaded more than once."""
    return [
        f"insert into {ORDERS} select {ORDERS}.* replace ('N-' || order_line_id || '-' || n as order_line_id, "
        f"'N-' || order_id || '-' || n as order_id, {at} as ordered_at) "
        f"from {ORDERS}, range(1, {times + 1}) as copies (n) where {where}"
    ]


def copied_movements(where, at="moved_at", line="order_line_id"):
    return [
        f"insert into {MOVEMENTS} select * replace ('N-' || movement_id as movement_id, {at} as moved_at, "
        f"{line} as order_line_id) from {MOVEMENTS} where {where}"
    ]


def scaled(table, column, factor, where):
    return [f"update {table} set {column} = {column} * {factor} where {where}"]


def adjusted(units, where):
    return [
        f"update {MOVEMENTS} set quantity = {units} where movement_id = (select min(movement_id) from {MOVEMENTS} "
        f"where movement_type = 'adjustment' and {where})"
    ]


# Name: the statements, what one finding's reason must contain, and how far gold may be off, as shares of demand,
# revenue, stock value, position, forecast and reorder point. What is missing cannot be put back.
NEAR = {
    "demand": 0.01, "revenue": 0.01, "stock value": 0.01, "position": 0.01, "forecast": 0.02, "reorder point": 0.05,
}  # fmt: skip
MISSING = {
    "demand": 0.05, "revenue": 0.05, "stock value": 0.1, "position": 0.15, "forecast": 0.05, "reorder point": 0.15,
}  # fmt: skip
DAMAGE = {
    "a day is missing": (without("cast({at} as date) = '2026-06-10'"), "missing", MISSING),
    "a warehouse is missing for days": (
        without("warehouse_id = 'WH-02' and cast({at} as date) between '2026-07-06' and '2026-07-10'"),
        "missing",
        MISSING,
    ),
    "a warehouse ends early": (
        without("warehouse_id = 'WH-03' and cast({at} as date) >= '2026-10-24'"),
        "late data",
        MISSING,
    ),
    "orders end early": (
        [f"delete from {ORDERS} where ordered_at >= '2026-10-26'"],
        "late data",
        {**MISSING, "forecast": 0.15},
    ),
    "most orders are missing": (
        [
            f"delete from {ORDERS} where ordered_at >= '2026-10-12' "
            "and cast(right(order_line_id, 3) as integer) % 7 <> 0"
        ],
        "level below usual",
        {},
    ),
    "a third of the orders of a week is missing": (
        [
            f"delete from {ORDERS} where cast(ordered_at as date) between '2026-05-04' and '2026-05-10' "
            "and cast(right(order_line_id, 3) as integer) % 3 = 0"
        ],
        "numbers are missing",
        MISSING,
    ),
    "a day was loaded ten times": (
        copied_orders(
            "cast(ordered_at as date) = '2026-09-15'",
            at="ordered_at + to_minutes(cast(7 * n as bigint))",
            times=9,
        ),
        "volume above usual",
        NEAR,
    ),
    "a day was loaded three times": (
        copied_orders(
            "cast(ordered_at as date) = '2026-03-18'",
            at="ordered_at + to_seconds(cast(hash(order_line_id || n) % 6000 as bigint))",
            times=2,
        ),
        "duplicate under a new id",
        NEAR,
    ),
    "a day of a warehouse was loaded as the next, with what it shipped": (
        copied_orders(
            "cast(ordered_at as date) = '2026-08-04' and warehouse_id = 'WH-01'", at="ordered_at + to_days(1)"
        )
        + copied_movements(
            "cast(moved_at as date) = '2026-08-04' and warehouse_id = 'WH-01' and movement_type = 'shipment' "
            f"and order_line_id in (select order_line_id from {ORDERS} "
            "where cast(ordered_at as date) = '2026-08-04')",
            at="moved_at + to_days(1)",
            line="'N-' || order_line_id || '-1'",
        ),
        "duplicate under a new id",
        NEAR,
    ),
    "orders are repeated under new ids": (
        copied_orders("order_line_id between 'OL-0003000' and 'OL-0003002'"),
        "duplicate under a new id",
        NEAR,
    ),
    "receipts are repeated under new ids": (
        copied_movements(
            "movement_type = 'receipt' and purchase_order_line_id is not null and moved_at >= '2026-08-01' "
            "and moved_at < '2026-08-10'"
        ),
        "duplicate under a new id",
        NEAR,
    ),
    "shipments and returns are repeated hours later": (
        copied_movements(
            "movement_type in ('shipment', 'return') and cast(moved_at as date) = '2026-04-14'",
            at="moved_at + to_hours(2)",
        ),
        "duplicate under a new id",
        NEAR,
    ),
    "purchase orders are repeated under new ids": (
        [
            f"insert into {PURCHASES} select * replace ('N-' || purchase_order_line_id as purchase_order_line_id, "
            f"'N-' || purchase_order_id as purchase_order_id) from {PURCHASES} where ordered_on >= '2026-10-15'"
        ],
        "duplicate under a new id",
        NEAR,
    ),
    "all units of orders are multiplied": (
        scaled(ORDERS, "quantity_ordered", 10, "ordered_at >= '2026-10-01'"),
        "units unlike earlier lines",
        NEAR,
    ),
    "a warehouse orders in threes": (
        scaled(ORDERS, "quantity_ordered", 3, "ordered_at >= '2026-09-20' and warehouse_id = 'WH-02'"),
        "units unlike earlier lines",
        {**NEAR, "demand": 0.02, "forecast": 0.05, "reorder point": 0.1},
    ),
    "a product is ordered in other units": (
        scaled(ORDERS, "quantity_ordered", 12, f"ordered_at >= '2026-10-01' and product_id = {BUSY}"),
        "units unlike earlier lines",
        NEAR,
    ),
    "receipts are in other units": (
        scaled(
            MOVEMENTS,
            "quantity",
            10,
            "movement_type = 'receipt' and purchase_order_line_id is not null and moved_at >= '2026-10-01'",
        ),
        "more received than ordered",
        NEAR,
    ),
    "a count of stock is a thousand times too high": (
        adjusted(9000, "quantity > 0 and moved_at >= '2026-08-01'"),
        "adjustment far above all earlier ones",
        NEAR,
    ),
    "a count of stock loses all": (
        adjusted(-9000, "quantity < 0 and moved_at >= '2026-08-01'"),
        "adjustment far above all earlier ones",
        NEAR,
    ),
    "counts of stock are in other units": (
        scaled(MOVEMENTS, "quantity", 100, "movement_type = 'adjustment' and quantity > 0 and moved_at >= '2026-08-01'"),
        "adjustment far above all earlier ones",
        NEAR,
    ),
    "purchase orders are in other units": (
        scaled(PURCHASES, "quantity_ordered", 12, "ordered_on >= '2026-09-01'"),
        "units unlike earlier lines",
        {**NEAR, "position": 0.2},
    ),
    "a standard cost loses its decimal point and two double": (
        scaled(PRODUCTS, "unit_cost", 100, "product_id = 'PRD-00004'")
        + scaled(PRODUCTS, "unit_cost", 2, "product_id in ('PRD-00009', 'PRD-00021')"),
        "standard cost far from the price list",
        NEAR,
    ),
    "a price list is in cents": (
        scaled(BREAKS, "unit_cost", 100, "product_id in ('PRD-00002', 'PRD-00003')"),
        "cost far from the standard cost",
        NEAR,
    ),
    "suppliers ask half as much again": (
        scaled(PURCHASES, "unit_cost", 1.5, "ordered_on >= '2026-10-15'"),
        "cost far from the standard cost",
        NEAR,
    ),
    "prices are in cents": (
        scaled(ORDERS, "unit_price", 100, "ordered_at >= '2026-10-30'"),
        "price far from the list price",
        NEAR,
    ),
    "a channel has other prices": (
        scaled(ORDERS, "unit_price", 0.5, "ordered_at >= '2026-08-01' and channel = 'marketplace'"),
        "price",
        NEAR,
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

BALANCE, MOVED = "more left than there was", {"returns to another warehouse", "transfers in transit"}

# One figure of gold each: what a reader of the tables would compare.
FIGURES = {
    "demand": "select warehouse_id, sum(ordered_units) from daily_kpis group by 1",
    "revenue": "select warehouse_id, sum(revenue) from daily_kpis group by 1",
    "stock value": "select warehouse_id, sum(inventory_value) from daily_kpis where date_day = "
    "(select max(date_day) from daily_kpis) group by 1",
    "position": "select product_id || warehouse_id, position_units from reorder_recommendations",
    "forecast": "select product_id || warehouse_id, forecast_daily_units from demand_forecast",
    "reorder point": "select product_id || warehouse_id, coalesce(reorder_point_units, 0) "
    "from reorder_recommendations",
}


class Models:
    """The compiled SQL of a build: models in the order of their references, and the tests of silver and gold."""

    def __init__(self, database, schema, compiled):
        self.database, self.schema = database, schema
        self.prefix = re.compile(rf'("{re.escape(pathlib.Path(database).stem)}"\.)?"{re.escape(schema)}"\.')
        folder = pathlib.Path(compiled)
        paths = [path for layer in ("bronze", "silver", "gold") for path in (folder / layer).glob("*.sql")]
        sql = {path.stem: self.prefix.sub("", path.read_text()) for path in paths}
        self.views = {path.stem for path in paths if path.parent.name == "bronze"}
        self.models = {}
        while len(self.models) < len(sql):
            ready = {
                name: text
                for name, text in sql.items()
                if name not in self.models
                and all(f'"{other}"' not in text or other in self.models for other in sql if other != name)
            }
            assert ready, f"models refer to each other in a circle: {sorted(set(sql) - set(self.models))}"
            self.models.update(ready)
        tests = [path for layer in ("silver", "gold") for path in (folder / layer).glob("*.yml/*.sql")]
        tests += [path for layer in ("silver", "gold") for path in (folder.parent / "tests" / layer).glob("*.sql")]
        self.tests = {
            path.stem: self.prefix.sub("", path.read_text())
            for path in tests
            if path.stem != "no_data_is_suspicious" and path.stem not in self.models
        }

    def seeds(self, statements):
        """A copy in memory of the seeds, after the statements."""
        data = duckdb.connect(config={"threads": 1})
        data.execute(f"attach '{self.database}' as built (read_only)")
        names = "select table_name from duckdb_tables() where database_name = 'built' and schema_name = ?"
        for (name,) in data.execute(names, [self.schema]).fetchall():
            if name.startswith("raw_"):
                data.execute(f"create table {name} as from built.{self.schema}.{name}")
        for statement in statements:
            data.execute(statement)
        return data

    def build(self, data, until=None):
        for name, sql in self.models.items():
            kind = "view" if name in self.views else "table"
            data.execute(f"create or replace {kind} {name} as {sql}")
            if name == until:
                return

    def failed_tests(self, data):
        failed = {}
        for name, sql in self.tests.items():
            rows = data.execute(f"select count(*) from ({sql})").fetchone()[0]
            if rows:
                failed[name] = rows
        return failed


def figures(data):
    return {name: dict(data.execute(sql).fetchall()) for name, sql in FIGURES.items()}


def distances(ours, theirs):
    """How far each figure is off in all, as a share of it."""
    shares = {}
    for name, values in theirs.items():
        keys = values.keys() | ours[name].keys()
        off = sum(abs(float(ours[name].get(key, 0) or 0) - float(values.get(key, 0) or 0)) for key in keys)
        shares[name] = off / sum(abs(float(value or 0)) for value in values.values())
    return shares


def findings(data):
    return dict(data.execute("select reason, count(*) from suspicious_data group by reason").fetchall())


ACCEPTED = {
    "accepted_movements": "stg_logistics__inventory_movements",
    "accepted_order_lines": "stg_logistics__customer_orders",
    "accepted_products": "stg_logistics__products",
    "accepted_purchase_orders": "stg_logistics__purchase_orders",
}


def changed_by_the_gate(data):
    """What the gate changes of undamaged data: nothing, so that gold is the same with and without it."""
    problems = [f"found {findings(data)}"] if findings(data) else []
    for accepted, staged in ACCEPTED.items():
        columns = ", ".join(name for name, *_ in data.execute(f"describe {accepted}").fetchall())
        for ours, theirs in ((accepted, staged), (staged, accepted)):
            rows = f"select {columns} from {ours} except all select {columns} from {theirs}"
            (count,) = data.execute(f"select count(*) from ({rows})").fetchone()
            problems += [f"{count} rows of {ours} are not in {theirs}"] if count else []
    return [f"undamaged: {problem}" for problem in problems]


def problems_of(models, undamaged, name):
    statements, reason, limits = DAMAGE.get(name) or (LEGAL[name], None, {})
    data = models.seeds(statements)
    models.build(data)
    found = findings(data)
    problems = [f"{test} stops gold with {rows} rows" for test, rows in models.failed_tests(data).items()]
    if reason is None:
        # goods that come elsewhere or later than those that were shipped from them are missing there
        found.pop(BALANCE if name in MOVED else None, None)
        problems += [f"found {found}"] if found else []
    elif not any(reason in key for key in found):
        problems.append(f"expected '{reason}', found {found}")
    shares = distances(figures(data), undamaged)
    problems += [
        f"{figure} is off by {shares[figure]:.1%}" for figure, limit in limits.items() if shares[figure] > limit
    ]
    return [f"{name}: {problem}" for problem in problems]


def main():
    database, schema, compiled = sys.argv[1:]
    models = Models(database, schema, compiled)
    seeds = models.seeds([])
    models.build(seeds)
    undamaged = figures(seeds)
    changed = changed_by_the_gate(seeds)
    seeds.close()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        problems = pool.map(lambda name: problems_of(models, undamaged, name), [*DAMAGE, *LEGAL])
        missed = changed + [problem for some in problems for problem in some]
    print("\n".join(missed) or f"{len(DAMAGE)} kinds of damage found, {len(LEGAL)} legal sets passed")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
