//! The columns of all files, and the rows of those that are written at once.
//!
//! The columns are what `dbt/seeds/*.yml` declares; a change here is a change there.

use std::path::Path;

use anyhow::Result;

use super::catalogue::Catalogue;
use super::csv_out::{Size, Table};
use super::options::Spec;
use super::purchasing;

pub(super) fn suppliers(path: &Path, catalogue: &Catalogue) -> Result<Size> {
    let header = "supplier_id,supplier_name,country_code,lead_time_days,lead_time_stddev_days";
    let mut table = Table::create(path, header)?;
    for (number, supplier) in (1..).zip(&catalogue.suppliers) {
        table
            .id("SUP-", number, 3)
            .text(&supplier.name)
            .word(supplier.country)
            .number(u64::from(supplier.lead_days))
            .hundredths(supplier.deviation_hundredths)
            .end()?;
    }
    table.finish()
}

pub(super) fn products(path: &Path, catalogue: &Catalogue) -> Result<Size> {
    let header = "product_id,product_name,category,supplier_id,unit_cost,unit_price,pack_size,launched_on";
    let mut table = Table::create(path, header)?;
    for (number, product) in (1..).zip(&catalogue.products) {
        table
            .id("PRD-", number, 5)
            .text(&product.name)
            .text(product.category().name)
            .id("SUP-", u64::from(product.supplier) + 1, 3)
            .hundredths(product.cost_cents)
            .hundredths(product.price_cents)
            .number(u64::from(product.pack_size))
            .word(&product.launched_on.to_string())
            .end()?;
    }
    table.finish()
}

/// Every closure that an order of the data can meet.
pub(super) fn supplier_closures(path: &Path, spec: &Spec, catalogue: &Catalogue) -> Result<Size> {
    let mut table = Table::create(path, "supplier_id,closed_from,closed_until")?;
    for (number, supplier) in (1..).zip(&catalogue.suppliers) {
        for year in spec.first.date().year()..=spec.last.date().year() + 1 {
            for (first, last) in purchasing::closures(supplier, year) {
                table.id("SUP-", number, 3).word(&first.to_string()).word(&last.to_string()).end()?;
            }
        }
    }
    table.finish()
}

/// The price lists: the first row of a product begins at its minimum order quantity.
pub(super) fn price_breaks(path: &Path, catalogue: &Catalogue) -> Result<Size> {
    let mut table = Table::create(path, "product_id,supplier_id,minimum_quantity,unit_cost")?;
    for (number, product) in (1..).zip(&catalogue.products) {
        for tier in &product.tiers {
            table
                .id("PRD-", number, 5)
                .id("SUP-", u64::from(product.supplier) + 1, 3)
                .number(u64::from(tier.from_units))
                .hundredths(tier.cost_cents)
                .end()?;
        }
    }
    table.finish()
}

pub(super) fn warehouses(path: &Path, catalogue: &Catalogue) -> Result<Size> {
    let mut table = Table::create(path, "warehouse_id,warehouse_name,city,country_code,capacity_units")?;
    for (number, warehouse) in (1..).zip(&catalogue.warehouses) {
        table
            .id("WH-", number, 2)
            .text(&warehouse.name)
            .text(warehouse.city)
            .word(warehouse.country)
            .number(u64::from(warehouse.capacity_units))
            .end()?;
    }
    table.finish()
}

pub(super) fn orders(path: &Path) -> Result<Table> {
    Table::create(
        path,
        "order_line_id,order_id,ordered_at,customer_id,channel,warehouse_id,product_id,quantity_ordered,\
         unit_price,promotion_code",
    )
}

pub(super) fn purchase_orders(path: &Path) -> Result<Table> {
    Table::create(
        path,
        "purchase_order_line_id,purchase_order_id,ordered_on,promised_on,supplier_id,warehouse_id,product_id,\
         quantity_ordered,unit_cost",
    )
}

pub(super) fn movements(path: &Path) -> Result<Table> {
    Table::create(
        path,
        "movement_id,moved_at,product_id,warehouse_id,movement_type,quantity,order_line_id,transfer_id,reason,\
         purchase_order_line_id",
    )
}
