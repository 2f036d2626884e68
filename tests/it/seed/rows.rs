//! A second opinion on generated rows: reads the CSV files and lists every broken promise.
//!
//! It shares no code with the generator, so that one misunderstanding cannot hide on both sides.

#![expect(clippy::struct_field_names, reason = "fields are named like the columns they read")]

use std::collections::{HashMap, HashSet};
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
pub(super) struct Supplier {
    supplier_id: String,
    supplier_name: String,
    country_code: String,
    lead_time_days: i64,
    lead_time_stddev_days: String,
}

#[derive(Deserialize)]
pub(super) struct Product {
    product_id: String,
    product_name: String,
    category: String,
    supplier_id: String,
    unit_cost: String,
    unit_price: String,
    pack_size: i64,
    launched_on: String,
}

#[derive(Deserialize)]
pub(super) struct Warehouse {
    warehouse_id: String,
    warehouse_name: String,
    city: String,
    country_code: String,
    capacity_units: i64,
}

#[derive(Deserialize)]
pub(super) struct Line {
    order_line_id: String,
    order_id: String,
    pub(super) ordered_at: String,
    customer_id: String,
    pub(super) channel: String,
    warehouse_id: String,
    product_id: String,
    pub(super) quantity_ordered: i64,
    unit_price: String,
    pub(super) promotion_code: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Movement {
    movement_id: String,
    pub(super) moved_at: String,
    pub(super) product_id: String,
    pub(super) warehouse_id: String,
    pub(super) movement_type: String,
    pub(super) quantity: i64,
    order_line_id: Option<String>,
    transfer_id: Option<String>,
    pub(super) reason: Option<String>,
    purchase_order_line_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Purchase {
    purchase_order_line_id: String,
    purchase_order_id: String,
    ordered_on: String,
    promised_on: String,
    supplier_id: String,
    warehouse_id: String,
    product_id: String,
    quantity_ordered: i64,
    unit_cost: String,
}

#[derive(Deserialize)]
pub(super) struct PriceBreak {
    product_id: String,
    supplier_id: String,
    minimum_quantity: i64,
    unit_cost: String,
}

/// A set of files.
pub(super) struct Rows {
    suppliers: Vec<Supplier>,
    products: Vec<Product>,
    warehouses: Vec<Warehouse>,
    pub(super) orders: Vec<Line>,
    pub(super) movements: Vec<Movement>,
    pub(super) purchases: Vec<Purchase>,
    price_breaks: Vec<PriceBreak>,
}

#[derive(Default)]
struct Complaints(Vec<String>);

impl Complaints {
    fn demand(&mut self, holds: bool, complaint: impl FnOnce() -> String) {
        if !holds {
            self.0.push(complaint());
        }
    }

    fn demand_unique<'a>(&mut self, what: &str, ids: impl Iterator<Item = &'a String>) {
        let mut seen = HashSet::new();
        for id in ids {
            self.demand(seen.insert(id), || format!("{what} {id} occurs twice"));
        }
    }
}

impl Rows {
    pub(super) fn read(folder: &Path) -> Self {
        Self {
            suppliers: read(&folder.join("raw_suppliers.csv")),
            products: read(&folder.join("raw_products.csv")),
            warehouses: read(&folder.join("raw_warehouses.csv")),
            orders: read(&folder.join("raw_customer_orders.csv")),
            movements: read(&folder.join("raw_inventory_movements.csv")),
            purchases: read(&folder.join("raw_purchase_orders.csv")),
            price_breaks: read(&folder.join("raw_price_breaks.csv")),
        }
    }

    /// What is wrong with these rows; `first` and `last` are the first and last days allowed.
    pub(super) fn complaints(&self, first: &str, last: &str) -> Vec<String> {
        let mut complaints = Complaints::default();
        self.check_catalogue(&mut complaints);
        self.check_times(first, last, &mut complaints);
        self.check_orders(&mut complaints);
        self.check_movement_fields(&mut complaints);
        self.check_balances(first, &mut complaints);
        self.check_shipments(&mut complaints);
        self.check_transfers(last, &mut complaints);
        self.check_purchases(&mut complaints);
        complaints.0.truncate(20);
        complaints.0
    }

    /// Units in stock at the end, by product and warehouse.
    pub(super) fn stock(&self) -> HashMap<(&str, &str), i64> {
        let mut stock = HashMap::new();
        for row in &self.movements {
            *stock.entry((row.product_id.as_str(), row.warehouse_id.as_str())).or_default() += row.quantity;
        }
        stock
    }

    /// Units shipped on the day of their order, and on later days.
    pub(super) fn shipped_on_the_day_of_the_order_and_later(&self) -> (i64, i64) {
        let lines = by_id(&self.orders, |row| &row.order_line_id);
        let mut units = (0, 0);
        for row in self.movements.iter().filter(|row| row.movement_type == "shipment") {
            let line = row.order_line_id.as_deref().and_then(|id| lines.get(id)).expect("an order line");
            if line.ordered_at[..10] == row.moved_at[..10] {
                units.0 -= row.quantity;
            } else {
                units.1 -= row.quantity;
            }
        }
        units
    }

    fn check_catalogue(&self, complaints: &mut Complaints) {
        complaints.demand_unique("supplier", self.suppliers.iter().map(|row| &row.supplier_id));
        complaints.demand_unique("product", self.products.iter().map(|row| &row.product_id));
        complaints.demand_unique("product", self.products.iter().map(|row| &row.product_name));
        complaints.demand_unique("warehouse", self.warehouses.iter().map(|row| &row.warehouse_id));
        complaints.demand_unique("warehouse", self.warehouses.iter().map(|row| &row.warehouse_name));
        let suppliers = by_id(&self.suppliers, |row| &row.supplier_id);
        for product in &self.products {
            let (cost, price) = (hundredths(&product.unit_cost), hundredths(&product.unit_price));
            let sound = suppliers.contains_key(product.supplier_id.as_str())
                && 0 < cost
                && cost < price
                && product.pack_size > 0
                && product.launched_on.len() == 10
                && !product.category.is_empty();
            complaints.demand(sound, || format!("{} is not sound", product.product_id));
        }
        for supplier in &self.suppliers {
            let sound = supplier.lead_time_days > 0
                && hundredths(&supplier.lead_time_stddev_days) > 0
                && !supplier.supplier_name.is_empty()
                && supplier.country_code.len() == 2;
            complaints.demand(sound, || format!("{} is not sound", supplier.supplier_id));
        }
        for warehouse in &self.warehouses {
            let sound = warehouse.capacity_units > 0
                && !warehouse.city.is_empty()
                && warehouse.country_code.len() == 2;
            complaints.demand(sound, || format!("{} is not sound", warehouse.warehouse_id));
        }
    }

    fn check_times(&self, first: &str, last: &str, complaints: &mut Complaints) {
        let orders: Vec<&str> = self.orders.iter().map(|row| row.ordered_at.as_str()).collect();
        let movements: Vec<&str> = self.movements.iter().map(|row| row.moved_at.as_str()).collect();
        for (file, times) in [("orders", orders), ("movements", movements)] {
            complaints.demand(times.is_sorted(), || format!("{file} are not sorted by time"));
            for at in times {
                let inside = at.len() == 19 && first <= &at[..10] && &at[..10] <= last;
                complaints.demand(inside, || format!("{file}: {at} is outside"));
            }
        }
    }

    fn check_orders(&self, complaints: &mut Complaints) {
        complaints.demand_unique("line", self.orders.iter().map(|row| &row.order_line_id));
        let products = by_id(&self.products, |row| &row.product_id);
        let warehouses = by_id(&self.warehouses, |row| &row.warehouse_id);
        let mut heads = HashMap::new();
        for line in &self.orders {
            let launched = products.get(line.product_id.as_str()).map(|product| product.launched_on.as_str());
            let sound = launched.is_some_and(|day| day <= &line.ordered_at[..10])
                && warehouses.contains_key(line.warehouse_id.as_str())
                && line.quantity_ordered > 0
                && hundredths(&line.unit_price) > 0
                && ["online", "retail", "wholesale", "marketplace"].contains(&line.channel.as_str());
            complaints.demand(sound, || format!("{} is not sound", line.order_line_id));
            let head = (&line.ordered_at, &line.customer_id, &line.channel, &line.warehouse_id);
            let same = *heads.entry(&line.order_id).or_insert(head) == head;
            complaints.demand(same, || format!("{}: its order has two heads", line.order_line_id));
        }
    }

    fn check_movement_fields(&self, complaints: &mut Complaints) {
        complaints.demand_unique("movement", self.movements.iter().map(|row| &row.movement_id));
        let products = by_id(&self.products, |row| &row.product_id);
        let warehouses = by_id(&self.warehouses, |row| &row.warehouse_id);
        for row in &self.movements {
            let id = &row.movement_id;
            let of_purchase = row.purchase_order_line_id.is_some();
            complaints
                .demand(!of_purchase || row.movement_type == "receipt", || format!("{id}: not a receipt"));
            let (sign, line, transfer, reason) = match row.movement_type.as_str() {
                "receipt" => (1, false, false, false),
                "shipment" => (-1, true, false, false),
                "return" => (1, true, false, false),
                "transfer_in" => (1, false, true, false),
                "transfer_out" => (-1, false, true, false),
                "adjustment" => (row.quantity.signum(), false, false, true),
                other => panic!("{id}: movement type {other}"),
            };
            complaints.demand(row.quantity != 0 && row.quantity.signum() == sign, || format!("{id}: sign"));
            let filled = (row.order_line_id.is_some(), row.transfer_id.is_some(), row.reason.is_some());
            complaints.demand(filled == (line, transfer, reason), || format!("{id}: references {filled:?}"));
            let reasons = ["cycle_count", "damage", "theft", "found"];
            let known = row.reason.as_ref().is_none_or(|reason| reasons.contains(&reason.as_str()));
            complaints.demand(known, || format!("{id}: reason"));
            let placed = warehouses.contains_key(row.warehouse_id.as_str());
            complaints.demand(placed, || format!("{id}: unknown warehouse"));
            let fits = products.get(row.product_id.as_str()).is_some_and(|product| {
                let packs = row.movement_type != "receipt" || row.quantity % product.pack_size == 0;
                packs && product.launched_on.as_str() <= &row.moved_at[..10]
            });
            complaints.demand(fits, || format!("{id}: product unknown, before its launch, or a torn pack"));
        }
    }

    fn check_balances(&self, first: &str, complaints: &mut Complaints) {
        let mut balances: HashMap<(&str, &str), i64> = HashMap::new();
        for row in &self.movements {
            let place = (row.product_id.as_str(), row.warehouse_id.as_str());
            let balance = balances.entry(place).or_default();
            *balance += row.quantity;
            complaints
                .demand(*balance >= 0, || format!("{}: the balance falls to {balance}", row.movement_id));
        }
        let old = self.products.iter().filter(|product| product.launched_on.as_str() <= first).count();
        let opened = self
            .movements
            .iter()
            .filter(|row| row.movement_type == "receipt" && row.purchase_order_line_id.is_none())
            .filter(|row| &row.moved_at[..10] == first)
            .count();
        complaints.demand(opened == old * self.warehouses.len(), || format!("{opened} opening receipts"));
    }

    fn check_shipments(&self, complaints: &mut Complaints) {
        let lines = by_id(&self.orders, |row| &row.order_line_id);
        let mut shipped: HashMap<&str, (i64, &String)> = HashMap::new();
        let mut returned: HashMap<&str, i64> = HashMap::new();
        for row in &self.movements {
            let (id, Some(line_id)) = (&row.movement_id, row.order_line_id.as_deref()) else { continue };
            let Some(line) = lines.get(line_id) else {
                complaints.demand(false, || format!("{id}: there is no order line {line_id}"));
                continue;
            };
            let same = line.product_id == row.product_id && line.warehouse_id == row.warehouse_id;
            complaints.demand(same, || format!("{id}: is not what {line_id} ordered"));
            if row.movement_type == "shipment" {
                let earlier = shipped.get(line_id).copied();
                let units = earlier.map_or(0, |(units, _)| units) - row.quantity;
                let fits = units <= line.quantity_ordered && line.ordered_at < row.moved_at;
                complaints.demand(fits, || format!("{id}: ships too much or too early"));
                let once = earlier.is_none() || line.channel == "wholesale";
                complaints.demand(once, || format!("{id}: {line_id} was shipped before"));
                shipped.insert(line_id, (units, earlier.map_or(&row.moved_at, |(_, at)| at)));
            } else {
                let sum = returned.entry(line_id).or_default();
                *sum += row.quantity;
                let fits = shipped.get(line_id).is_some_and(|(out, at)| *sum <= *out && *at < &row.moved_at);
                complaints.demand(fits, || format!("{id}: {line_id} sends back what it did not get"));
            }
        }
    }

    /// Deliveries never exceed their line; prices and minimum quantities are those of the price list.
    fn check_purchases(&self, complaints: &mut Complaints) {
        complaints
            .demand_unique("purchase line", self.purchases.iter().map(|row| &row.purchase_order_line_id));
        let products = by_id(&self.products, |row| &row.product_id);
        let mut received: HashMap<&str, i64> = HashMap::new();
        for row in &self.movements {
            if let Some(line) = row.purchase_order_line_id.as_deref() {
                *received.entry(line).or_default() += row.quantity;
            }
        }
        let mut heads = HashMap::new();
        for row in &self.purchases {
            let id = &row.purchase_order_line_id;
            let came = received.remove(id.as_str()).unwrap_or(0);
            complaints.demand(came <= row.quantity_ordered, || format!("{id}: {came} units are too many"));
            let head = (&row.ordered_on, &row.supplier_id, &row.warehouse_id);
            let same = *heads.entry(&row.purchase_order_id).or_insert(head) == head;
            complaints.demand(same, || format!("{id}: its order has two heads"));
            let tier = self
                .price_breaks
                .iter()
                .filter(|tier| tier.product_id == row.product_id && tier.supplier_id == row.supplier_id)
                .rfind(|tier| tier.minimum_quantity <= row.quantity_ordered);
            let sound = row.ordered_on < row.promised_on
                && tier.is_some_and(|tier| tier.unit_cost == row.unit_cost)
                && products.get(row.product_id.as_str()).is_some_and(|product| {
                    product.supplier_id == row.supplier_id && row.quantity_ordered % product.pack_size == 0
                });
            complaints.demand(sound, || format!("{id} is not sound"));
        }
        complaints.demand(received.is_empty(), || format!("received without a line: {received:?}"));
    }

    fn check_transfers(&self, last: &str, complaints: &mut Complaints) {
        let mut transfers: HashMap<&str, Vec<&Movement>> = HashMap::new();
        for row in &self.movements {
            if let Some(id) = row.transfer_id.as_deref() {
                transfers.entry(id).or_default().push(row);
            }
        }
        for (id, rows) in transfers {
            let balanced = match rows.as_slice() {
                [out, into] => {
                    out.movement_type == "transfer_out"
                        && into.movement_type == "transfer_in"
                        && out.quantity + into.quantity == 0
                        && out.product_id == into.product_id
                        && out.warehouse_id != into.warehouse_id
                        && out.moved_at[..10] < into.moved_at[..10]
                }
                // In transit when the data ends.
                [out] => out.movement_type == "transfer_out" && days_between(&out.moved_at[..10], last) < 6,
                _ => false,
            };
            complaints.demand(balanced, || format!("{id} does not balance: {rows:?}"));
        }
    }
}

fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let mut reader = csv::Reader::from_path(path).expect("the file exists");
    reader.deserialize().collect::<Result<_, _>>().expect("well-formed CSV with the promised columns")
}

fn by_id<T>(rows: &[T], id: fn(&T) -> &String) -> HashMap<&str, &T> {
    rows.iter().map(|row| (id(row).as_str(), row)).collect()
}

fn days_between(from: &str, to: &str) -> i32 {
    let day = |text: &str| text.parse::<jiff::civil::Date>().expect("a date");
    day(from).until(day(to)).expect("a span").get_days()
}

/// A decimal with two digits, in hundredths.
fn hundredths(text: &str) -> i64 {
    let (whole, part) = text.split_once('.').expect("a decimal point");
    assert_eq!(part.len(), 2, "{text}");
    format!("{whole}{part}").parse().expect("digits")
}
