//! From Arrow, as the driver hands results over, to rows of the same JSON that DuckDB's are of.

use adbc_core::error::{Error, Status};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, TimeUnit};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Number, Value};

use crate::warehouse::Row;

/// The rows of a batch. Names that Snowflake keeps in upper case come in lower case, as they were
/// written; names with lower case in them were quoted, and stay.
pub(super) fn of_batch(batch: &RecordBatch) -> Result<Vec<Row>, Error> {
    let mut rows = vec![Row::new(); batch.num_rows()];
    for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
        let name = folded(field.name());
        for (index, row) in rows.iter_mut().enumerate() {
            let value = if column.is_null(index) {
                Value::Null
            } else {
                value(column.as_ref(), index).ok_or_else(|| unreadable(&name, column.data_type()))?
            };
            row.insert(name.clone(), value);
        }
    }
    Ok(rows)
}

fn unreadable(name: &str, kind: &DataType) -> Error {
    let message = format!("the column {name} has the type {kind}, which this toolkit does not read");
    Error::with_message_and_status(message, Status::NotImplemented)
}

/// A name as a person writes it: one that needs no quotes is in lower case.
pub(super) fn folded(name: &str) -> String {
    if name.chars().any(char::is_lowercase) { name.to_owned() } else { name.to_lowercase() }
}

/// `None` for a type that Snowflake does not send.
fn value(column: &dyn Array, index: usize) -> Option<Value> {
    Some(match column.data_type() {
        DataType::Null => Value::Null,
        DataType::Boolean => column.as_boolean().value(index).into(),
        DataType::Int8 => column.as_primitive::<Int8Type>().value(index).into(),
        DataType::Int16 => column.as_primitive::<Int16Type>().value(index).into(),
        DataType::Int32 => column.as_primitive::<Int32Type>().value(index).into(),
        DataType::Int64 => column.as_primitive::<Int64Type>().value(index).into(),
        DataType::UInt8 => column.as_primitive::<UInt8Type>().value(index).into(),
        DataType::UInt16 => column.as_primitive::<UInt16Type>().value(index).into(),
        DataType::UInt32 => column.as_primitive::<UInt32Type>().value(index).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(index).into(),
        DataType::Float32 => f64::from(column.as_primitive::<Float32Type>().value(index)).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(index).into(),
        DataType::Decimal128(_, scale) => {
            decimal(column.as_primitive::<Decimal128Type>().value(index), *scale)
        }
        DataType::Utf8 => column.as_string::<i32>().value(index).into(),
        DataType::LargeUtf8 => column.as_string::<i64>().value(index).into(),
        DataType::Binary => crate::system::hex::encode(column.as_binary::<i32>().value(index)).into(),
        DataType::Date32 => date(column.as_primitive::<Date32Type>().value(index))?.into(),
        DataType::Time32(_) | DataType::Time64(_) => time(column, index)?.into(),
        DataType::Timestamp(_, zone) => timestamp(column, index, zone.is_some())?.into(),
        _ => return None,
    })
}

/// A whole number as one, a fraction as the nearest double, as DuckDB's JSON has them. What a double
/// cannot hold to the last digit of a whole number stays exact as text.
fn decimal(unscaled: i128, scale: i8) -> Value {
    if scale <= 0 {
        return i64::try_from(unscaled).map_or_else(|_| unscaled.to_string().into(), Value::from);
    }
    let digits = unscaled.unsigned_abs().to_string();
    let places = usize::from(scale.unsigned_abs());
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let text = format!("{}{whole}.{fraction}", if unscaled < 0 { "-" } else { "" });
    match text.parse::<f64>().ok().and_then(Number::from_f64) {
        Some(number) => number.into(),
        None => text.into(),
    }
}

fn date(days: i32) -> Option<String> {
    let epoch = Date::constant(1970, 1, 1);
    Some(epoch.checked_add(SignedDuration::from_hours(i64::from(days) * 24)).ok()?.to_string())
}

fn time(column: &dyn Array, index: usize) -> Option<String> {
    let nanoseconds = match column.data_type() {
        DataType::Time32(TimeUnit::Second) => {
            i64::from(column.as_primitive::<Time32SecondType>().value(index)) * 1_000_000_000
        }
        DataType::Time32(_) => {
            i64::from(column.as_primitive::<Time32MillisecondType>().value(index)) * 1_000_000
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            column.as_primitive::<Time64MicrosecondType>().value(index) * 1_000
        }
        DataType::Time64(_) => column.as_primitive::<Time64NanosecondType>().value(index),
        _ => return None,
    };
    let midnight = jiff::civil::Time::midnight();
    Some(midnight.checked_add(SignedDuration::from_nanos(nanoseconds)).ok()?.to_string())
}

/// `2026-01-02 03:04:05.123`, and for an instant the same in UTC with `+00`.
fn timestamp(column: &dyn Array, index: usize, is_instant: bool) -> Option<String> {
    let instant = match column.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => {
            Timestamp::from_second(column.as_primitive::<TimestampSecondType>().value(index))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            Timestamp::from_millisecond(column.as_primitive::<TimestampMillisecondType>().value(index))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            Timestamp::from_microsecond(column.as_primitive::<TimestampMicrosecondType>().value(index))
        }
        _ => Timestamp::from_nanosecond(column.as_primitive::<TimestampNanosecondType>().value(index).into()),
    };
    let civil = instant.ok()?.to_zoned(TimeZone::UTC).datetime();
    let text = civil.to_string().replacen('T', " ", 1);
    Some(if is_instant { format!("{text}+00") } else { text })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, StringArray,
        Time64NanosecondArray, TimestampNanosecondArray,
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn every_type_has_the_shape_that_duckdb_gives_it() {
        let instant = 1_767_323_045_123_000_000_i64;
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("N", Arc::new(Int64Array::from(vec![Some(7), None]))),
            ("D", Arc::new(decimals(&[Some(-1_500), None], 3))),
            ("W", Arc::new(decimals(&[Some(12), None], 0))),
            ("Mixed", Arc::new(StringArray::from(vec![Some("x'y"), None]))),
            ("B", Arc::new(BooleanArray::from(vec![Some(true), None]))),
            ("F", Arc::new(Float64Array::from(vec![Some(1.5), None]))),
            ("DAY", Arc::new(Date32Array::from(vec![Some(20_455), None]))),
            ("T", Arc::new(Time64NanosecondArray::from(vec![Some(11_045_500_000_000), None]))),
            ("NTZ", Arc::new(TimestampNanosecondArray::from(vec![Some(instant), None]))),
            ("LTZ", Arc::new(TimestampNanosecondArray::from(vec![Some(instant), None]).with_timezone("UTC"))),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        )
        .expect("a batch");
        let rows = of_batch(&batch).expect("rows");
        assert_eq!(
            Value::Object(rows[0].clone()),
            json!({
                "n": 7, "d": -1.5, "w": 12, "Mixed": "x'y", "b": true, "f": 1.5, "day": "2026-01-02",
                "t": "03:04:05.5", "ntz": "2026-01-02 03:04:05.123", "ltz": "2026-01-02 03:04:05.123+00",
            })
        );
        assert!(rows[1].values().all(Value::is_null), "{:?}", rows[1]);
    }

    #[test]
    fn whole_numbers_lose_no_digit() {
        assert_eq!(decimal(i128::from(i64::MAX), 0), json!(i64::MAX));
        assert_eq!(decimal(12_345_678_901_234_567_890_123, 0), json!("12345678901234567890123"));
        assert_eq!(decimal(5, 2), json!(0.05));
    }

    fn decimals(values: &[Option<i128>], scale: i8) -> Decimal128Array {
        Decimal128Array::from(values.to_vec()).with_precision_and_scale(38, scale).expect("a scale")
    }
}
