//! The files of a data set, as numbers: one shelf is one product in one warehouse.

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use jiff::civil::{Date, DateTime};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::settings::Settings;
use crate::seed::Day;

/// Seconds since midnight of a day.
pub(super) type Second = i32;

pub(super) struct Product {
    pub(super) id: String,
    pub(super) supplier: usize,
    pub(super) unit_cost_cents: i64,
    pub(super) list_price_cents: i64,
    pub(super) pack_size: i64,
    /// From which quantity on which cost of a unit holds; the first is the minimum order.
    pub(super) tiers: Vec<(i64, i64)>,
}

pub(super) struct Supplier {
    pub(super) lead_time_days: f64,
    pub(super) lead_time_stddev_days: f64,
}

/// A line of a customer order.
#[derive(Clone, Copy)]
pub(super) struct Line {
    pub(super) shelf: usize,
    pub(super) day: i32,
    pub(super) second: Second,
    pub(super) units: i64,
    /// Whether it waits for stock, or is lost when out of stock.
    pub(super) waits: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Receipt,
    Shipment,
    Return,
    TransferOut,
    TransferIn,
    Adjustment,
}

pub(super) struct Movement {
    pub(super) shelf: usize,
    pub(super) day: i32,
    pub(super) second: Second,
    pub(super) kind: Kind,
    pub(super) units: i64,
    pub(super) line: Option<usize>,
    pub(super) purchase: Option<usize>,
    pub(super) transfer: Option<String>,
}

/// A line of a purchase order.
pub(super) struct Purchase {
    pub(super) shelf: usize,
    pub(super) supplier: usize,
    pub(super) day: i32,
    pub(super) units: i64,
    pub(super) unit_cost_cents: i64,
}

pub(super) struct Records {
    pub(super) products: Vec<Product>,
    pub(super) warehouses: Vec<String>,
    pub(super) suppliers: Vec<Supplier>,
    pub(super) lines: Vec<Line>,
    pub(super) movements: Vec<Movement>,
    pub(super) purchases: Vec<Purchase>,
    /// Days are counted from the first day of the data, a number of days since 1970.
    pub(super) first: Day,
    /// The last day that counts.
    pub(super) last: i32,
}

impl Records {
    pub(super) fn read(folder: &Path, settings: &Settings) -> Result<Self> {
        Reader { folder, settings }.read()
    }

    pub(super) fn shelves(&self) -> usize {
        self.products.len() * self.warehouses.len()
    }

    /// Of a shelf.
    pub(super) fn product(&self, place: usize) -> &Product {
        &self.products[place / self.warehouses.len()]
    }

    /// Of a shelf.
    pub(super) fn warehouse(&self, place: usize) -> usize {
        place % self.warehouses.len()
    }

    /// 0 is Monday.
    pub(super) fn weekday(&self, day: i32) -> usize {
        self.first.plus(day).weekday()
    }
}

struct Reader<'a> {
    folder: &'a Path,
    settings: &'a Settings,
}

#[derive(Deserialize)]
struct SupplierRow {
    supplier_id: String,
    lead_time_days: f64,
    lead_time_stddev_days: f64,
}

#[derive(Deserialize)]
struct ProductRow {
    product_id: String,
    supplier_id: String,
    unit_cost: f64,
    unit_price: f64,
    pack_size: i64,
}

#[derive(Deserialize)]
struct WarehouseRow {
    warehouse_id: String,
}

#[derive(Deserialize)]
struct TierRow {
    product_id: String,
    minimum_quantity: i64,
    unit_cost: f64,
}

#[derive(Deserialize)]
struct LineRow {
    order_line_id: String,
    ordered_at: DateTime,
    channel: String,
    warehouse_id: String,
    product_id: String,
    quantity_ordered: i64,
}

#[derive(Deserialize)]
struct PurchaseRow {
    purchase_order_line_id: String,
    ordered_on: Date,
    supplier_id: String,
    warehouse_id: String,
    product_id: String,
    quantity_ordered: i64,
    unit_cost: f64,
}

#[derive(Deserialize)]
struct MovementRow {
    moved_at: DateTime,
    product_id: String,
    warehouse_id: String,
    movement_type: String,
    quantity: i64,
    order_line_id: Option<String>,
    transfer_id: Option<String>,
    purchase_order_line_id: Option<String>,
}

impl Reader<'_> {
    fn read(&self) -> Result<Records> {
        let suppliers: Vec<SupplierRow> = self.rows("raw_suppliers")?;
        let supplier_of = index("raw_suppliers", suppliers.iter().map(|row| &row.supplier_id))?;
        let products = self.products(&supplier_of)?;
        let product_of = index("raw_products", products.iter().map(|product| &product.id))?;
        let warehouses: Vec<WarehouseRow> = self.rows("raw_warehouses")?;
        let warehouse_of = index("raw_warehouses", warehouses.iter().map(|row| &row.warehouse_id))?;
        let orders: Vec<LineRow> = self.rows("raw_customer_orders")?;
        let purchases: Vec<PurchaseRow> = self.rows("raw_purchase_orders")?;
        let movements: Vec<MovementRow> = self.rows("raw_inventory_movements")?;
        let line_of = index("raw_customer_orders", orders.iter().map(|row| &row.order_line_id))?;
        let purchase_of =
            index("raw_purchase_orders", purchases.iter().map(|row| &row.purchase_order_line_id))?;

        let dates = || {
            let ordered = orders.iter().map(|row| row.ordered_at.date());
            ordered.chain(movements.iter().map(|row| row.moved_at.date()))
        };
        let (Some(first), Some(newest)) = (dates().min(), dates().max()) else {
            bail!(
                "{} has neither orders nor movements; write data with `cargo xtask seed`",
                self.folder.display()
            );
        };
        let last = self.settings.last_day()?.unwrap_or(newest);
        let first = Day::of(first);
        let day = |date: Date| Day::of(date).since(first);
        let counted = |date: Date| date <= last;
        let shelf_of = |file: &str, product: &str, warehouse: &str| {
            let product = found(&product_of, file, "product", product)?;
            Ok::<_, anyhow::Error>(
                product * warehouses.len() + found(&warehouse_of, file, "warehouse", warehouse)?,
            )
        };
        let line = |row: &LineRow| {
            Ok::<_, anyhow::Error>(Line {
                shelf: shelf_of("raw_customer_orders", &row.product_id, &row.warehouse_id)?,
                day: day(row.ordered_at.date()),
                second: second(row.ordered_at),
                units: row.quantity_ordered,
                waits: self.settings.backorder_channels.contains(&row.channel),
            })
        };
        let purchase = |row: &PurchaseRow| {
            Ok::<_, anyhow::Error>(Purchase {
                shelf: shelf_of("raw_purchase_orders", &row.product_id, &row.warehouse_id)?,
                supplier: found(&supplier_of, "raw_purchase_orders", "supplier", &row.supplier_id)?,
                day: day(row.ordered_on),
                units: row.quantity_ordered,
                unit_cost_cents: cents(row.unit_cost),
            })
        };
        let movement = |row: MovementRow| {
            let file = "raw_inventory_movements";
            let line = row.order_line_id.as_deref().map(|id| found(&line_of, file, "order line", id));
            let purchase = row
                .purchase_order_line_id
                .as_deref()
                .map(|id| found(&purchase_of, file, "purchase order line", id));
            Ok::<_, anyhow::Error>(Movement {
                shelf: shelf_of(file, &row.product_id, &row.warehouse_id)?,
                day: day(row.moved_at.date()),
                second: second(row.moved_at),
                kind: kind(&row.movement_type)?,
                units: row.quantity,
                line: line.transpose()?,
                purchase: purchase.transpose()?,
                transfer: row.transfer_id,
            })
        };
        // Lines and purchases keep their places, which movements refer to; those after the last day have no effect.
        let mut all = Records {
            lines: orders.iter().map(line).collect::<Result<_>>()?,
            purchases: purchases.iter().map(purchase).collect::<Result<_>>()?,
            movements: movements
                .into_iter()
                .filter(|row| counted(row.moved_at.date()))
                .map(movement)
                .collect::<Result<_>>()?,
            products,
            warehouses: warehouses.iter().map(|row| row.warehouse_id.clone()).collect(),
            suppliers: suppliers
                .iter()
                .map(|row| Supplier {
                    lead_time_days: row.lead_time_days,
                    lead_time_stddev_days: row.lead_time_stddev_days,
                })
                .collect(),
            first,
            last: day(last),
        };
        all.movements.sort_by_key(|movement| (movement.day, movement.second));
        Ok(all)
    }

    fn products(&self, supplier_of: &HashMap<String, usize>) -> Result<Vec<Product>> {
        let mut tiers: HashMap<String, Vec<(i64, i64)>> = HashMap::new();
        for row in self.rows::<TierRow>("raw_price_breaks")? {
            tiers.entry(row.product_id).or_default().push((row.minimum_quantity, cents(row.unit_cost)));
        }
        let rows: Vec<ProductRow> = self.rows("raw_products")?;
        let product = |row: ProductRow| {
            let mut tiers = tiers.remove(&row.product_id).unwrap_or_default();
            tiers.sort_unstable();
            Ok(Product {
                supplier: found(supplier_of, "raw_products", "supplier", &row.supplier_id)?,
                id: row.product_id,
                unit_cost_cents: cents(row.unit_cost),
                list_price_cents: cents(row.unit_price),
                pack_size: row.pack_size.max(1),
                tiers,
            })
        };
        rows.into_iter().map(product).collect()
    }

    fn rows<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>> {
        let path: PathBuf = self.folder.join(name).with_extension("csv");
        let file = File::open(&path).with_context(|| {
            format!("failed to read {}; write the files with `cargo xtask seed`", path.display())
        })?;
        let mut reader = csv::Reader::from_reader(std::io::BufReader::new(file));
        reader
            .deserialize()
            .collect::<Result<_, _>>()
            .with_context(|| format!("failed to read {}", path.display()))
    }
}

fn index<'a>(file: &str, ids: impl Iterator<Item = &'a String>) -> Result<HashMap<String, usize>> {
    let mut places = HashMap::new();
    for (place, id) in ids.enumerate() {
        if places.insert(id.clone(), place).is_some() {
            bail!("{file}.csv has {id} twice; `cargo xtask elt` shows every row that breaks a rule");
        }
    }
    Ok(places)
}

fn found(places: &HashMap<String, usize>, file: &str, kind: &str, id: &str) -> Result<usize> {
    places.get(id).copied().with_context(|| {
        format!(
            "{file}.csv refers to the {kind} {id}, which does not exist; `cargo xtask elt` shows such rows"
        )
    })
}

fn kind(text: &str) -> Result<Kind> {
    Ok(match text {
        "receipt" => Kind::Receipt,
        "shipment" => Kind::Shipment,
        "return" => Kind::Return,
        "transfer_out" => Kind::TransferOut,
        "transfer_in" => Kind::TransferIn,
        "adjustment" => Kind::Adjustment,
        _ => bail!("raw_inventory_movements.csv has the unknown movement type {text:?}"),
    })
}

fn second(at: DateTime) -> Second {
    (i32::from(at.hour()) * 60 + i32::from(at.minute())) * 60 + i32::from(at.second())
}

#[expect(clippy::cast_possible_truncation, reason = "`as` saturates, and no price has 17 digits")]
fn cents(amount: f64) -> i64 {
    (amount * 100.0).round() as i64
}
