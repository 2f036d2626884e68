"""Every gold table again, from the seeds and the formulas of dbt/README.md, and compared cell by cell.

    python gold.py DATABASE SCHEMA PROJECT

DATABASE is a DuckDB file with the seeds and gold tables of one build in SCHEMA, PROJECT its `dbt_project.yml`. Text,
days, counts and amounts must be equal; what SQL computes with binary fractions and rounds may differ by one unit of the
last digit. Nothing here is taken from the SQL of the models. Exit code 1 names cells that differ.
"""

import collections
import datetime
import decimal
import math
import sys

import duckdb
import yaml

D = decimal.Decimal
DAY = datetime.timedelta(days=1)


def half_up(value, digits):
    return D(value).quantize(D(1).scaleb(-digits), rounding=decimal.ROUND_HALF_UP)


def ratio(numerator, denominator, digits=4):
    if numerator is None or not denominator:
        return None
    return half_up(repr(float(numerator) / float(denominator)), digits)


def plain(value):
    """Snowflake's integers are decimals without decimals."""
    is_whole = isinstance(value, D) and value.as_tuple().exponent == 0
    return int(value) if is_whole else value


class Data:
    def __init__(self, database, schema, variables):
        self.v = variables
        self.db = duckdb.connect(database, read_only=True)
        self.schema = schema
        self.products = {row["product_id"]: row for row in self.rows("raw_products")}
        self.suppliers = self.rows("raw_suppliers")
        self.warehouses = {row["warehouse_id"]: row for row in self.rows("raw_warehouses")}
        self.breaks = self.rows("raw_price_breaks")
        self.closures = self.rows("raw_supplier_closures")
        self.lines = {row["order_line_id"]: row for row in self.rows("raw_customer_orders")}
        self.purchases = {row["purchase_order_line_id"]: row for row in self.rows("raw_purchase_orders")}
        self.movements = sorted(
            self.rows("raw_inventory_movements"), key=lambda row: (row["moved_at"], row["movement_id"])
        )
        for row in self.lines.values():
            row["day"] = row["ordered_at"].date()
            row["key"] = (row["product_id"], row["warehouse_id"])
        for row in self.movements:
            row["day"] = row["moved_at"].date()
            row["key"] = (row["product_id"], row["warehouse_id"])
        self.last = max(
            max(row["day"] for row in self.lines.values()), max(row["day"] for row in self.movements)
        )
        self.days()

    def rows(self, table):
        found = self.db.execute(f'select * from "{self.schema}"."{table}"')
        names = [column[0].lower() for column in found.description]
        return [dict(zip(names, map(plain, row))) for row in found.fetchall()]

    def days(self):
        """One record a day of each product and warehouse, from its first activity on."""
        first = {}
        for row in [*self.movements, *self.lines.values()]:
            first[row["key"]] = min(first.get(row["key"], row["day"]), row["day"])
        self.first = first
        self.day = {}
        for key, start in first.items():
            for number in range((self.last - start).days + 1):
                self.day[key, start + number * DAY] = collections.Counter()
        shipped = collections.Counter()
        self.shipments = collections.defaultdict(list)
        for row in self.movements:
            day = self.day[row["key"], row["day"]]
            day["net"] += row["quantity"]
            if row["movement_type"] in ("shipment", "return"):
                sold = -row["quantity"]
                day["shipped" if sold > 0 else "returned"] += abs(sold)
                day["revenue"] += sold * self.lines[row["order_line_id"]]["unit_price"]
                day["cost"] += sold * self.products[row["product_id"]]["unit_cost"]
            if row["movement_type"] == "shipment":
                shipped[row["order_line_id"]] -= row["quantity"]
                self.shipments[row["order_line_id"]].append(row)
        for name, line in self.lines.items():
            day = self.day[line["key"], line["day"]]
            day["lines"] += 1
            day["ordered"] += line["quantity_ordered"]
            on_time = -sum(row["quantity"] for row in self.shipments[name] if row["day"] == line["day"])
            day["filled"] += on_time
            day["filled later"] += shipped[name] - on_time
            missing = line["quantity_ordered"] - shipped[name]
            if self.waits(line):
                day["backordered"] += max(missing, 0)
            else:
                day["lost"] += missing
        for key, start in first.items():
            on_hand, day = 0, start
            while day <= self.last:
                record = self.day[key, day]
                on_hand += record["net"]
                record["closing"] = on_hand
                record["value"] = on_hand * self.products[key[0]]["unit_cost"]
                day += DAY
        self.shipped = shipped

    def waits(self, line):
        """Whether what is missing of a line is still owed on the last day."""
        is_patient = line["channel"] in self.v["backorder_channels"]
        return is_patient and line["day"] + self.v["backorder_days"] * DAY >= self.last

    def history(self, key):
        return [self.day[key, self.first[key] + n * DAY] for n in range((self.last - self.first[key]).days + 1)]

    def since(self, days):
        return self.last - days * DAY


def daily_kpis(data):
    by_warehouse = collections.defaultdict(lambda: collections.defaultdict(list))
    for (key, day), record in data.day.items():
        by_warehouse[key[1]][day].append(record)
    for warehouse, days in by_warehouse.items():
        past = []
        for day in sorted(days):
            records = days[day]
            total = lambda name: sum(record[name] for record in records)
            past.append((total("ordered"), total("cost"), total("value")))
            supply = past[-data.v["supply_window_days"] :]
            turnover = past[-data.v["turnover_window_days"] :]
            empty = sum(record["closing"] <= 0 for record in records)
            capacity = data.warehouses[warehouse]["capacity_units"]
            row = {
                "stocked_products": len(records),
                "out_of_stock_products": empty,
                "stock_out_rate": ratio(empty, len(records)),
                "on_hand_units": total("closing"),
                "inventory_value": total("value"),
                "capacity_units": capacity,
                "capacity_utilization": ratio(total("closing"), capacity),
                "order_lines": total("lines"),
                "ordered_units": total("ordered"),
                "filled_units": total("filled"),
                "filled_later_units": total("filled later"),
                "backordered_units": total("backordered"),
                "lost_units": total("lost"),
                "fill_rate": ratio(total("filled"), total("ordered")),
                "sold_units": total("shipped"),
                "returned_units": total("returned"),
                "revenue": total("revenue"),
                "cost_of_goods_sold": total("cost"),
                "supply_window_days": len(supply),
                "supply_window_ordered_units": sum(row[0] for row in supply),
                "days_of_supply": ratio(total("closing") * len(supply), sum(row[0] for row in supply), 2),
                "turnover_window_days": len(turnover),
                "turnover_window_cost_of_goods_sold": sum(row[1] for row in turnover),
                "turnover_window_inventory_value": sum(row[2] for row in turnover),
                "inventory_turnover": ratio(
                    sum(row[1] for row in turnover) * 365, sum(row[2] for row in turnover)
                ),
            }
            yield (day, warehouse), row


def abc_classes(data):
    window = data.since(data.v["consumption_window_days"])
    units = collections.Counter()
    for (key, day), record in data.day.items():
        units[key[0]] += record["shipped"] if day > window else 0
    values = {name: units[name] * product["unit_cost"] for name, product in data.products.items()}
    total, before = sum(values.values()), D(0)
    for rank, name in enumerate(sorted(values, key=lambda name: (-values[name], name)), 1):
        limits = [(D(str(data.v["abc_a_share"])), "A"), (D(str(data.v["abc_b_share"])), "B")]
        reached = [letter for share, letter in limits if before < total * share]
        product = data.products[name]
        yield (
            (name,),
            {
                "product_name": product["product_name"],
                "product_category": product["category"],
                "as_of": data.last,
                "consumption_rank": rank,
                "consumed_units": units[name],
                "unit_cost": product["unit_cost"],
                "consumption_value": values[name],
                "cumulative_value": before + values[name],
                "total_value": total,
                "value_share": ratio(values[name], total, 6),
                "cumulative_share": ratio(before + values[name], total, 6),
                "abc_class": "C" if values[name] == 0 or not reached else reached[0],
            },
        )
        before += values[name]


def slow_movers(data):
    for key in data.first:
        history = data.history(key)
        stock = history[-1]
        if stock["closing"] <= 0:
            continue
        dated = [(data.first[key] + n * DAY, record) for n, record in enumerate(history)]
        stocked = min(day for day, record in dated if record["closing"] > 0)
        shipped = max((day for day, record in dated if record["shipped"] > 0), default=None)
        idle = (data.last - (shipped or stocked)).days
        if idle < data.v["slow_mover_days"]:
            continue
        window = data.since(data.v["dead_stock_days"])
        product = data.products[key[0]]
        yield (
            key,
            {
                "product_name": product["product_name"],
                "product_category": product["category"],
                "as_of": data.last,
                "on_hand_units": stock["closing"],
                "inventory_value": stock["value"],
                "first_stocked_on": stocked,
                "last_shipped_on": shipped,
                "idle_days": idle,
                "recent_ordered_units": sum(record["ordered"] for day, record in dated if day > window),
                "movement_class": "dead" if idle >= data.v["dead_stock_days"] else "slow",
            },
        )


def weekday_indices(data, warehouse):
    """For each day: demand of its weekday against the mean day, as far as known."""
    totals = collections.Counter()
    for (key, day), record in data.day.items():
        if key[1] == warehouse:
            totals[day] += record["ordered"]
    indices, of_weekday, all_days = {}, collections.defaultdict(list), []
    for day in sorted(totals):
        of_weekday[day.weekday()].append(totals[day])
        all_days.append(totals[day])
        mine = of_weekday[day.weekday()]
        mean = sum(mine) / len(mine)
        is_known = len(mine) >= 4 and mean > 0
        indices[day] = mean / (sum(all_days) / len(all_days)) if is_known else 1.0
    return indices


def forecasts(data):
    """The last day's forecast of each product and warehouse, and the errors of all forecasts before."""
    alpha, window = data.v["smoothing"], data.v["demand_window_days"]
    patterns = {warehouse: weekday_indices(data, warehouse) for warehouse in data.warehouses}
    result = {}
    for key, first in data.first.items():
        pattern = patterns[key[1]]
        units = [record["ordered"] for record in data.history(key)]
        errors, naive, last_forecast, row = [], [], None, {}
        for number in range(1, len(units) + 1):
            day, seen = first + (number - 1) * DAY, units[:number]
            if number > 1:
                errors.append((number, units[number - 1] - last_forecast))
            if number > 7:
                naive.append((number, abs(units[number - 1] - units[number - 8])))
            recent = seen[-window:]
            demands = [u for u in recent if u]
            adi = len(recent) / len(demands) if demands else None
            cv2 = sum(u * u for u in demands) * len(demands) / sum(demands) ** 2 - 1 if demands else None
            if not demands:
                kind = "none"
            else:
                kind = {(1, 1): "smooth", (1, 0): "erratic", (0, 1): "intermittent", (0, 0): "lumpy"}[
                    adi < 1.32, cv2 < 0.49
                ]
            weight = [(1 - alpha) ** (number - 1 - n) for n in range(number)]
            places = [n for n, u in enumerate(seen) if u]
            next_index = 1.0
            if kind == "none":
                rate = 0.0
            elif kind in ("smooth", "erratic"):
                known = [pattern[first + n * DAY] for n in range(number)]
                rate = sum(u * w for u, w in zip(seen, weight)) / sum(i * w for i, w in zip(known, weight))
                next_index = pattern.get(day - 6 * DAY, 1.0)
            else:
                weights = [(1 - alpha) ** (len(places) - 1 - n) for n in range(len(places))]
                size = sum(seen[p] * w for p, w in zip(places, weights)) / sum(weights)
                if kind == "lumpy":
                    rate = sum(weight[p] for p in places) / sum(weight) * size
                else:
                    gaps = [p - q for p, q in zip(places, [-1, *places])]
                    rate = (1 - alpha / 2) * size / (sum(g * w for g, w in zip(gaps, weights)) / sum(weights))
            last_forecast = rate * next_index
            if number < len(units):
                continue
            tested = lambda series: [e for n, e in series if n > 28 and n > number - window]
            known, missed = tested(errors), tested(naive)
            if len(known) >= 28:
                deviation = math.sqrt(sum(e * e for e in known) / len(known))
            elif len(recent) > 1:
                mean = sum(recent) / len(recent)
                deviation = math.sqrt(sum((u - mean) ** 2 for u in recent) / (len(recent) - 1))
            else:
                deviation = None
            actual = sum(units[n - 1] for n, _ in errors if n > 28 and n > number - window) if known else None
            row = {
                "as_of": data.last,
                "demand_days": len(recent),
                "demand_class": kind,
                "method": {"none": "none", "intermittent": "croston", "lumpy": "tsb"}.get(
                    kind, "seasonal_smoothing"
                ),
                "adi": None if adi is None else half_up(repr(adi), 4),
                "cv2": None if cv2 is None else half_up(repr(cv2), 4),
                "forecast_daily_units": half_up(repr(rate), 4),
                "next_day_units": half_up(repr(last_forecast), 4),
                "forecast_28_days_units": half_up(repr(rate), 4) * 28,
                "error_days": len(known),
                "error_stddev_units": None if deviation is None else half_up(repr(deviation), 4),
                "mase": ratio(sum(map(abs, known)) if known else None, sum(missed)),
                "wape": ratio(sum(map(abs, known)) if known else None, actual),
                "bias": ratio(-sum(known) if known else None, actual),
            }
        result[key] = row
    pooled(result)
    return result


def pooled(forecasts):
    """The variance of each warehouse from the ratio of variance to mean of the product in all of them."""
    variances, means = collections.Counter(), collections.Counter()
    for (product, _), row in forecasts.items():
        if row["error_stddev_units"] is not None:
            variances[product] += float(row["error_stddev_units"]) ** 2
            means[product] += float(row["forecast_daily_units"])
    for (product, _), row in forecasts.items():
        row["pooled_stddev_units"] = row["error_stddev_units"]
        if row["error_stddev_units"] is not None and means[product]:
            variance = float(row["forecast_daily_units"]) * variances[product] / means[product]
            row["pooled_stddev_units"] = half_up(repr(math.sqrt(variance)), 4)


def demand_forecast(data):
    data.forecast = forecasts(data)
    return data.forecast.items()


def supplier_scorecard(data):
    data.scorecard = {}
    receipts = collections.defaultdict(list)
    for row in data.movements:
        if row["purchase_order_line_id"]:
            receipts[row["purchase_order_line_id"]].append(row)
    for supplier in data.suppliers:
        name = supplier["supplier_id"]
        lines = [row for row in data.purchases.values() if row["supplier_id"] == name]
        times, due, on_time, in_full, split, late, days_late, open_units, open_value = [], 0, 0, 0, 0, 0, [], 0, D(0)
        for line in lines:
            got = receipts[line["purchase_order_line_id"]]
            received = sum(row["quantity"] for row in got)
            is_complete = received >= line["quantity_ordered"]
            still_open = max(line["quantity_ordered"] - received, 0)
            open_units += still_open
            open_value += still_open * line["unit_cost"]
            split += len(got) > 1
            end = max(row["day"] for row in got) if is_complete else data.last
            if is_complete:
                times.append((end - line["ordered_on"]).days)
                in_full += 1
            if is_complete or line["promised_on"] < data.last:
                due += 1
                punctual = is_complete and end <= line["promised_on"]
                on_time += punctual
                late += not is_complete
                if not punctual:
                    days_late.append((end - line["promised_on"]).days)
        mean = sum(times) / len(times) if times else None
        deviation = (
            math.sqrt(sum((t - mean) ** 2 for t in times) / (len(times) - 1)) if len(times) > 1 else None
        )
        is_measured = len(times) >= data.v["lead_time_min_lines"]
        two = lambda value: None if value is None else half_up(repr(value), 2)
        ahead = [row for row in data.closures if row["supplier_id"] == name and row["closed_until"] > data.last]
        row = {
            "supplier_name": supplier["supplier_name"],
            "as_of": data.last,
            "order_lines": len(lines),
            "complete_lines": len(times),
            "due_lines": due,
            "on_time_lines": on_time,
            "on_time_rate": ratio(on_time, due),
            "in_full_lines": in_full,
            "in_full_rate": ratio(in_full, due),
            "split_lines": split,
            "late_lines": late,
            "mean_days_late": ratio(sum(days_late) if days_late else None, due - on_time, 2),
            "open_units": open_units,
            "open_value": open_value,
            "agreed_lead_time_days": supplier["lead_time_days"],
            "mean_lead_time_days": two(mean),
            "stddev_lead_time_days": two(deviation),
            "next_closed_from": min((row["closed_from"] for row in ahead), default=None),
            "next_closed_until": min((row["closed_until"] for row in ahead), default=None),
            "is_measured": is_measured,
            "planning_lead_time_days": two(mean) if is_measured else D(supplier["lead_time_days"]),
            "planning_lead_time_stddev_days": two(deviation)
            if is_measured
            else supplier["lead_time_stddev_days"],
        }
        data.scorecard[name] = row
        yield (name,), row


def normal_quantile(probability):
    """Abramowitz and Stegun 26.2.23."""
    t = math.sqrt(-2 * math.log(1 - probability))
    above = 2.515517 + 0.802853 * t + 0.010328 * t * t
    below = 1 + 1.432788 * t + 0.189269 * t * t + 0.001308 * t**3
    return t - above / below


def positions(data):
    """On hand, on order, in transit and owed to customers on the last day."""
    result = {key: [data.day[key, data.last]["closing"], 0, 0, 0] for key in data.first}
    received, arrivals = collections.Counter(), {}
    for row in data.movements:
        received[row["purchase_order_line_id"]] += row["quantity"]
        if row["movement_type"] == "transfer_in":
            arrivals[row["transfer_id"]] = row["key"]
    for name, line in data.purchases.items():
        key = (line["product_id"], line["warehouse_id"])
        if key in result:
            result[key][1] += max(line["quantity_ordered"] - received[name], 0)
    for row in data.movements:
        if row["transfer_id"] in arrivals:
            result[arrivals[row["transfer_id"]]][2] -= row["quantity"]
    for name, line in data.lines.items():
        if data.waits(line):
            result[line["key"]][3] += line["quantity_ordered"] - data.shipped[name]
    return result


def reorder_recommendations(data):
    v, data.recommended = data.v, {}
    tiers = collections.defaultdict(list)
    for row in data.breaks:
        tiers[row["product_id"]].append((row["minimum_quantity"], row["unit_cost"]))
    for key, (on_hand, on_order, in_transit, owed) in positions(data).items():
        product, forecast = data.products[key[0]], data.forecast[key]
        supplier = data.scorecard[product["supplier_id"]]
        lead, spread = supplier["planning_lead_time_days"], supplier["planning_lead_time_stddev_days"]
        daily, error = forecast["forecast_daily_units"], forecast["pooled_stddev_units"]
        level = 1 - D(str(v["risk_per_cost"])) * product["unit_cost"]
        level = min(max(level, D(str(v["service_level_min"]))), D(str(v["service_level_max"])))
        z = half_up(repr(normal_quantile(float(level))), 6)
        protection = lead + v["review_days"]
        protected = half_up(daily * protection, 4)
        position = on_hand + on_order + in_transit - owed
        pack = product["pack_size"]
        prices = sorted(tiers[key[0]])
        minimum = prices[0][0] if prices else 1
        cost_of = lambda units: min((c for m, c in prices if units >= m), default=product["unit_cost"])
        safety = point = up_to = units = None
        taken, priority = False, "unknown"
        if error is not None:
            f, e, s = float(daily), float(error), float(spread)
            deviation = math.sqrt(float(protection) * e * e + f * f * s * s)
            safety = half_up(repr(v["safety_factor"] * float(z) * deviation), 4)
            point = math.ceil(protected + safety)
            up_to = point + math.ceil(daily * v["order_cycle_days"])
            units = 0
            if daily == 0 or position > point:
                priority = "none"
            else:
                below_lead = position < half_up(daily * lead, 4)
                priority = "critical" if on_hand <= 0 else "high" if below_lead else "normal"
                units = needed = math.ceil(max(up_to - position, minimum) / pack) * pack
                for more, cost in prices:
                    extra = more - needed
                    holding = extra * float(cost) * v["holding_rate"] / 365 * needed / f
                    saving = more * float(cost_of(needed) - cost)
                    if 0 < extra <= daily * v["price_break_days"] and more % pack == 0 and saving > holding:
                        units, taken = more, True
        row = {
            "product_name": product["product_name"],
            "supplier_id": product["supplier_id"],
            "as_of": data.last,
            "on_hand_units": on_hand,
            "on_order_units": on_order,
            "in_transit_units": in_transit,
            "backordered_units": owed,
            "position_units": position,
            "demand_class": forecast["demand_class"],
            "demand_days": forecast["demand_days"],
            "forecast_daily_units": daily,
            "error_stddev_units": error,
            "days_of_cover": ratio(on_hand, daily, 2),
            "lead_time_days": lead,
            "lead_time_stddev_days": spread,
            "service_level": level,
            "z_score": z,
            "lead_time_demand_units": half_up(daily * lead, 4),
            "protection_demand_units": protected,
            "safety_stock_units": safety,
            "reorder_point_units": point,
            "order_up_to_units": up_to,
            "pack_size_units": pack,
            "minimum_order_units": minimum,
            "suggested_units": units,
            "takes_price_break": taken,
            "order_unit_cost": cost_of(units) if units is not None else product["unit_cost"],
            "suggested_value": None if units is None else units * cost_of(units),
            "priority": priority,
        }
        data.recommended[key] = row
        yield key, row


def transfer_proposals(data):
    by_product = collections.defaultdict(list)
    for (product, warehouse), row in data.recommended.items():
        if row["order_up_to_units"] is not None:
            by_product[product].append((warehouse, row))
    urgency = {"critical": 1, "high": 2}
    for product, rows in by_product.items():
        spares = [
            [row["on_hand_units"] - row["backordered_units"] - row["order_up_to_units"], warehouse, row]
            for warehouse, row in rows
        ]
        spares = sorted((spare for spare in spares if spare[0] > 0), key=lambda spare: (-spare[0], spare[1]))
        needs = [
            [row["order_up_to_units"] - row["position_units"], warehouse, row]
            for warehouse, row in rows
            if row["suggested_units"]
        ]
        needs.sort(key=lambda need: (urgency.get(need[2]["priority"], 3), -need[0], need[1]))
        for need in needs:
            for spare in spares:
                units = min(need[0], spare[0])
                if units > 0:
                    need[0] -= units
                    spare[0] -= units
                    yield (
                        (product, spare[1], need[1]),
                        {
                            "product_name": need[2]["product_name"],
                            "as_of": data.last,
                            "units": units,
                            "transfer_value": units * spare[2]["order_unit_cost"],
                            "instead_of_order_units": need[2]["suggested_units"],
                            "priority": need[2]["priority"],
                        },
                    )


def stock_ageing(data):
    v = data.v
    arrivals = collections.defaultdict(list)
    for row in data.movements:
        if row["quantity"] > 0:
            arrivals[row["key"]].append(row)
    for key in data.first:
        left = on_hand = data.day[key, data.last]["closing"]
        ages = []
        for row in reversed(arrivals[key]):
            units = min(left, row["quantity"])
            left -= units
            if units > 0:
                ages.append(((data.last - row["day"]).days, units))
        cost = data.products[key[0]]["unit_cost"]
        aged = sum(u for age, u in ages if v["aged_days"] < age <= v["obsolete_days"])
        obsolete = sum(u for age, u in ages if age > v["obsolete_days"])
        rates = D(str(v["aged_write_down"])), D(str(v["obsolete_write_down"]))
        yield (
            key,
            {
                "product_name": data.products[key[0]]["product_name"],
                "as_of": data.last,
                "on_hand_units": on_hand,
                "inventory_value": on_hand * cost,
                "mean_age_days": ratio(sum(age * u for age, u in ages), sum(u for _, u in ages), 1),
                "oldest_days": max((age for age, _ in ages), default=None),
                "aged_units": aged,
                "obsolete_units": obsolete,
                "write_down_value": half_up(cost * (aged * rates[0] + obsolete * rates[1]), 2),
            },
        )


def product_profitability(data):
    window = data.since(data.v["turnover_window_days"])
    sums = collections.defaultdict(collections.Counter)
    days = collections.defaultdict(set)
    for (key, day), record in data.day.items():
        if day > window:
            days[key[0]].add(day)
            for name in ("revenue", "cost", "value"):
                sums[key[0]][name] += record[name]
    for name, product in data.products.items():
        total = sums[name]
        margin = total["revenue"] - total["cost"]
        yield (
            (name,),
            {
                "product_name": product["product_name"],
                "as_of": data.last,
                "window_days": len(days[name]),
                "revenue": total["revenue"],
                "cost_of_goods_sold": total["cost"],
                "gross_margin": margin,
                "inventory_value_days": total["value"],
                "gmroi": ratio(margin * 365, total["value"]) if days[name] else None,
            },
        )


# In this order: later tables use what earlier ones left.
TABLES = {
    daily_kpis: ("date_day", "warehouse_id"),
    abc_classes: ("product_id",),
    slow_movers: ("product_id", "warehouse_id"),
    demand_forecast: ("product_id", "warehouse_id"),
    supplier_scorecard: ("supplier_id",),
    reorder_recommendations: ("product_id", "warehouse_id"),
    transfer_proposals: ("product_id", "from_warehouse_id", "to_warehouse_id"),
    stock_ageing: ("product_id", "warehouse_id"),
    product_profitability: ("product_id",),
}


# 28 forecasts of a day: its last digit counts 28 times.
MULTIPLES = {"forecast_28_days_units": 28}


def is_same(name, ours, theirs):
    if ours is None or theirs is None:
        return ours is None and theirs is None
    if isinstance(theirs, D) and name not in EXACT:
        digits = -theirs.as_tuple().exponent
        return abs(D(ours) - theirs) <= D(MULTIPLES.get(name, 1)).scaleb(-digits)
    return ours == theirs


# Amounts are sums and products of decimals, without rounding.
EXACT = {
    "inventory_value", "revenue", "cost_of_goods_sold", "unit_cost", "consumption_value", "cumulative_value",
    "total_value", "turnover_window_cost_of_goods_sold", "turnover_window_inventory_value", "open_value",
    "order_unit_cost", "suggested_value", "transfer_value", "gross_margin", "inventory_value_days",
}  # fmt: skip


def main():
    database, schema, project = sys.argv[1:]
    with open(project, encoding="utf-8") as file:
        variables = yaml.safe_load(file)["vars"]
    data = Data(database, schema, variables)
    wrong, cells = [], 0
    for table, keys in TABLES.items():
        name = table.__name__
        ours = dict(table(data))
        theirs = {tuple(row[key] for key in keys): row for row in data.rows(name)}
        for key in sorted(set(ours) ^ set(theirs), key=str):
            wrong.append(f"{name} {key}: {'not computed' if key in theirs else 'not in the table'}")
        known = set().union(*(row for row in ours.values()))
        shown = set().union(*(row for row in theirs.values())) - set(keys)
        wrong += [f"{name}: column {column} is on one side only" for column in known ^ shown if ours]
        for key in set(ours) & set(theirs):
            columns = set(theirs[key]) - set(keys)
            for column in columns & set(ours[key]):
                cells += 1
                if not is_same(column, ours[key][column], theirs[key][column]):
                    wrong.append(f"{name} {key} {column}: {ours[key][column]} here, {theirs[key][column]} there")
    print("\n".join(wrong[:40]) or f"{cells} cells of {len(TABLES)} tables are the same")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
