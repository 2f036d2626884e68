//! `cargo xtask seed`: the committed set, the promises of the rows, kills, and folders that say no.

mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tempfile::TempDir;

use self::rows::Rows;
use crate::support;

const FILES: [&str; 8] = [
    "raw_suppliers.csv",
    "raw_supplier_closures.csv",
    "raw_products.csv",
    "raw_price_breaks.csv",
    "raw_warehouses.csv",
    "raw_customer_orders.csv",
    "raw_purchase_orders.csv",
    "raw_inventory_movements.csv",
];

fn xtask() -> Command {
    let mut command = support::scrubbed(support::root());
    command.stdin(Stdio::null());
    command
}

/// Run `seed` with these options into `out`.
fn seed(out: &Path, options: &[&str]) -> Output {
    xtask().arg("seed").arg("--out").arg(out).args(options).output().expect("xtask starts")
}

fn seeded(out: &Path, options: &[&str]) -> String {
    let output = seed(out, options);
    assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// The error text of a run that must end with exit code 2.
fn refused(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(output.stdout.is_empty(), "data goes to stdout, and there is no data");
    stderr
}

/// An empty folder: its later content is what `seed` wrote.
fn scratch() -> TempDir {
    tempfile::tempdir().expect("a scratch folder")
}

fn committed() -> PathBuf {
    support::root().join("dbt/seeds")
}

fn set_in(folder: &Path) -> Vec<Vec<u8>> {
    FILES.map(|name| fs::read(folder.join(name)).unwrap_or_default()).to_vec()
}

/// Every name in a folder, hidden ones too.
fn names_in(folder: &Path) -> HashSet<String> {
    let entries = fs::read_dir(folder).expect("readable");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

fn our_names() -> HashSet<String> {
    FILES.map(str::to_owned).into()
}

#[test]
fn the_committed_set_is_what_the_generator_writes() {
    let folder = scratch();
    seeded(folder.path(), &[]);
    for name in FILES {
        let same = fs::read(folder.path().join(name)).ok() == fs::read(committed().join(name)).ok();
        assert!(same, "dbt/seeds/{name} is not what `cargo xtask seed` writes; run it and commit the result");
    }
    let bytes: usize = set_in(&committed()).iter().map(Vec::len).sum();
    assert!(bytes < 1536 * 1024, "{bytes} bytes are too many to commit");
}

#[test]
fn the_committed_set_keeps_every_promise_and_looks_like_trade() {
    let rows = Rows::read(&committed());
    assert_eq!(rows.complaints("2025-10-01", "2026-10-31"), Vec::<String>::new());

    let kinds: HashSet<_> = rows.movements.iter().map(|row| (&row.movement_type, &row.reason)).collect();
    assert_eq!(kinds.len(), 9, "5 types without a reason, and adjustments with 4");
    assert!(rows.orders.iter().any(|line| line.promotion_code.is_some()));

    let ordered: i64 = rows.orders.iter().map(|line| line.quantity_ordered).sum();
    let (on_time, late) = rows.shipped_on_the_day_of_the_order_and_later();
    let filled_percent = on_time * 100 / ordered;
    assert!((93..=98).contains(&filled_percent), "fill rate {filled_percent} %");
    assert!(late > 0, "wholesale customers wait for what was not on the shelf");

    let stock = rows.stock();
    let empty = stock.values().filter(|&&units| units == 0).count();
    assert!(empty >= 3, "{empty} shelves are empty on the last day");
    let recent: HashSet<_> = rows
        .movements
        .iter()
        .filter(|row| row.movement_type == "shipment" && row.moved_at.as_str() >= "2026-08-01")
        .map(|row| (row.product_id.as_str(), row.warehouse_id.as_str()))
        .collect();
    let slow = stock.iter().filter(|(shelf, units)| **units > 0 && !recent.contains(*shelf)).count();
    assert!(slow >= 5, "{slow} shelves hold goods without demand");
}

#[test]
fn demand_has_its_weekly_and_yearly_season() {
    let rows = Rows::read(&committed());
    let mut lines_of: BTreeMap<&str, usize> = BTreeMap::new();
    for line in &rows.orders {
        *lines_of.entry(&line.ordered_at[..7]).or_default() += 1;
    }
    assert_eq!(lines_of.len(), 13, "{lines_of:?}");
    assert!(lines_of["2025-11"] * 10 > lines_of["2026-01"] * 12, "{lines_of:?}");

    // 2025-10-04 was a Saturday: no wholesaler orders on most of them.
    let saturdays: HashSet<_> = (0..56)
        .map(|week| jiff::civil::date(2025, 10, 4).saturating_add(jiff::Span::new().weeks(week)).to_string())
        .collect();
    let mut of_saturday: HashMap<&str, usize> = HashMap::new();
    for line in rows.orders.iter().filter(|line| saturdays.contains(&line.ordered_at[..10])) {
        *of_saturday.entry(&line.channel).or_default() += 1;
    }
    let wholesale = of_saturday.get("wholesale").copied().unwrap_or(0);
    assert!(wholesale * 10 < of_saturday["retail"], "{of_saturday:?}");
}

#[test]
fn the_same_options_give_the_same_bytes_and_others_do_not() {
    let (one, two, other) = (scratch(), scratch(), scratch());
    let options = ["--days", "90", "--products", "25", "--warehouses", "2", "--seed", "7"];
    seeded(one.path(), &options);
    seeded(two.path(), &options);
    assert_eq!(set_in(one.path()), set_in(two.path()));
    seeded(other.path(), &[&options[..7], &["8"]].concat());
    // The closures follow the calendar of a country, whatever the seed.
    let differs = |name: &str| {
        fs::read(one.path().join(name)).expect("written")
            != fs::read(other.path().join(name)).expect("written")
    };
    assert!(FILES.iter().filter(|name| **name != "raw_supplier_closures.csv").all(|name| differs(name)));
}

#[test]
fn each_world_keeps_every_promise_and_differs_from_the_others() {
    let worlds = ["mixed", "steady", "seasonal", "intermittent", "supplier-trouble"];
    let sets: Vec<_> = worlds
        .map(|world| {
            let folder = scratch();
            seeded(folder.path(), &["--days", "120", "--world", world]);
            let rows = Rows::read(folder.path());
            assert_eq!(rows.complaints("2026-07-04", "2026-10-31"), Vec::<String>::new(), "{world}");
            set_in(folder.path())
        })
        .into();
    for (place, set) in sets.iter().enumerate() {
        assert!(!sets[..place].contains(set), "{}", worlds[place]);
    }
}

#[test]
fn a_longer_history_keeps_the_catalogue() {
    let (short, long) = (scratch(), scratch());
    seeded(short.path(), &["--days", "30"]);
    seeded(long.path(), &["--days", "900"]);
    for name in ["raw_suppliers.csv", "raw_products.csv", "raw_price_breaks.csv", "raw_warehouses.csv"] {
        let read = |folder: &Path| fs::read(folder.join(name)).expect("written");
        assert_eq!(read(short.path()), read(long.path()), "{name}");
    }
}

#[test]
fn a_larger_set_keeps_every_promise() {
    let folder = scratch();
    let options = [
        "--days",
        "75",
        "--products",
        "150",
        "--warehouses",
        "5",
        "--orders-per-day",
        "300",
        "--end",
        "2025-01-15",
    ];
    seeded(folder.path(), &options);
    let rows = Rows::read(folder.path());
    assert!(rows.orders.len() > 30_000, "{}", rows.orders.len());
    assert_eq!(rows.complaints("2024-11-02", "2025-01-15"), Vec::<String>::new());
}

#[test]
fn the_second_opinion_notices_what_is_wrong() {
    let folder = scratch();
    seeded(folder.path(), &["--days", "60", "--seed", "3"]);
    let movements = folder.path().join("raw_inventory_movements.csv");
    let sound = fs::read_to_string(&movements).expect("written");
    let row_of = |kind: &str| sound.lines().find(|row| row.contains(kind)).expect("such a row").to_owned();
    let doubled = |quantity: &str, row: String| row.replacen(quantity, &format!("{quantity}9"), 1);
    let (out, shipment, receipt) = (row_of(",transfer_out,"), row_of(",shipment,"), row_of(",receipt,"));
    let mut columns: Vec<&str> = receipt.split(',').collect();
    columns[5] = "10007";
    let torn = columns.join(",");
    for (row, broken, complaint) in [
        (&out, String::new(), "does not balance"),
        (&shipment, doubled(",shipment,-", shipment.clone()), "ships too much"),
        (&shipment, shipment.replace(",shipment,-", ",shipment,"), "sign"),
        (&shipment, shipment.replace("OL-0", "OL-9"), "there is no order line"),
        (&shipment, format!("{shipment}\n{}", shipment.replace("MV-", "MV-9")), "was shipped before"),
        (&receipt, format!("{receipt}\n{receipt}"), "occurs twice"),
        (&receipt, receipt.replace("2026-09-02", "2026-10-02"), "not sorted"),
        // A prime is in whole packs of no size.
        (&receipt, torn, "a torn pack"),
        (&receipt, String::new(), "opening receipts"),
    ] {
        let text =
            sound.replace(&format!("{row}\n"), &if broken.is_empty() { broken } else { broken + "\n" });
        assert_ne!(text, sound);
        fs::write(&movements, text).expect("written");
        let complaints = Rows::read(folder.path()).complaints("2026-09-02", "2026-10-31");
        assert!(complaints.iter().any(|text| text.contains(complaint)), "{complaint}: {complaints:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_options_keep_every_promise(
        days in 1_i32..130,
        products in 1_u32..50,
        warehouses in 1_u32..7,
        orders_per_day in prop::option::of(1_u32..60),
        number: u64,
        year in 1990_i16..2150,
        day_of_year in 1_i64..365,
    ) {
        let end = jiff::civil::date(year, 1, 1).saturating_add(jiff::Span::new().days(day_of_year));
        let first = end.saturating_sub(jiff::Span::new().days(days - 1)).to_string();
        let end = end.to_string();
        let mut options: Vec<String> = [
            ("--days", days.to_string()),
            ("--products", products.to_string()),
            ("--warehouses", warehouses.to_string()),
            ("--seed", number.to_string()),
            ("--end", end.clone()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect();
        options.extend(orders_per_day.into_iter().flat_map(|n| ["--orders-per-day".to_owned(), n.to_string()]));
        let folder = scratch();
        seeded(folder.path(), &options.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert_eq!(Rows::read(folder.path()).complaints(&first, &end), Vec::<String>::new());
    }
}

#[test]
fn the_summary_tells_what_is_on_the_disk() {
    let folder = scratch();
    let out = folder.path().join("it's data");
    let text = seeded(&out, &["--days", "40"]);
    for name in FILES {
        let content = fs::read_to_string(out.join(name)).expect("written");
        let line = text.lines().find(|line| line.contains(name)).expect("a line for each file");
        let counts: Vec<String> = line.split_whitespace().skip(1).map(|word| word.replace(',', "")).collect();
        assert_eq!(counts, [(content.lines().count() - 1).to_string(), content.len().to_string()], "{line}");
    }
    let quoted = format!("--seeds '{}'", out.display().to_string().replace('\'', r"'\''"));
    assert!(text.contains(&quoted), "{text}");
}

#[test]
fn bad_options_are_named_and_nothing_is_written() {
    let folder = scratch();
    let out = folder.path().join("out");
    for (options, needle) in [
        (&["--days", "0"][..], "--days <N>"),
        (&["--days", "-5"], "--days <N>"),
        (&["--days", "36501"], "--days <N>"),
        (&["--days", "many"], "--days <N>"),
        (&["--products", "0"], "--products <N>"),
        (&["--products", "100000"], "--products <N>"),
        (&["--warehouses", "100"], "--warehouses <N>"),
        (&["--warehouses", "99999999999999999999"], "--warehouses <N>"),
        (&["--orders-per-day", "0"], "--orders-per-day <N>"),
        (&["--seed", "-1"], "--seed <N>"),
        (&["--end", "2026-02-30"], "--end <DATE>"),
        (&["--end", "31.10.2026"], "--end <DATE>"),
        (&["--end", "2026-10-31T10:00"], "--end <DATE>"),
        (&["--end", "2300-01-01"], "--end <DATE>"),
        (&["--end", "1971-01-01", "--days", "400"], "--days 400 back from --end 1971-01-01"),
        (&["--products", "99999", "--warehouses", "99"], "--products 99999 in --warehouses 99"),
    ] {
        let stderr = refused(&seed(&out, options));
        assert!(stderr.contains(needle), "{options:?}: {stderr}");
        assert!(!out.exists(), "{options:?}");
    }
}

#[test]
fn other_files_in_the_folder_stay_as_they_are() {
    let folder = scratch();
    fs::write(folder.path().join("raw_products.yml"), "theirs").expect("written");
    fs::create_dir(folder.path().join("more")).expect("made");
    fs::write(folder.path().join("more/raw_products.csv"), "theirs").expect("written");
    seeded(folder.path(), &["--days", "20"]);
    seeded(folder.path(), &["--days", "10"]);
    let mut names = our_names();
    names.extend(["raw_products.yml".to_owned(), "more".to_owned()]);
    assert_eq!(names_in(folder.path()), names);
    assert_eq!(fs::read(folder.path().join("raw_products.yml")).expect("there"), b"theirs");
    assert_eq!(fs::read(folder.path().join("more/raw_products.csv")).expect("there"), b"theirs");
}

#[test]
fn a_destination_that_cannot_be_is_named() {
    let folder = scratch();
    let file = folder.path().join("a-file");
    fs::write(&file, "theirs").expect("written");
    assert!(refused(&seed(&file, &[])).contains("a-file"));
    assert!(refused(&seed(&file.join("below"), &[])).contains("a-file/below"));

    let out = folder.path().join("out");
    fs::create_dir_all(out.join("raw_products.csv")).expect("made");
    assert!(refused(&seed(&out, &[])).contains("raw_products.csv is a folder"));
    assert_eq!(names_in(&out), ["raw_products.csv".to_owned()].into());

    let output = xtask().arg("seed").current_dir(folder.path()).output().expect("xtask starts");
    let stderr = refused(&output);
    assert!(stderr.contains("--out") && stderr.contains("dbt_project.yml"), "{stderr}");
}

#[cfg(unix)]
#[test]
fn a_read_only_folder_is_named() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::os::unix::process::CommandExt as _;

    let folder = scratch();
    // The superuser may write anywhere, so a test that runs as root switches to the unprivileged user.
    let root = fs::metadata(folder.path()).expect("there").uid() == 0;
    let program = folder.path().join("xtask");
    fs::copy(env!("CARGO_BIN_EXE_xtask"), &program).expect("copied");
    let out = folder.path().join("seeds");
    fs::create_dir(&out).expect("made");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open");
    fs::set_permissions(&out, fs::Permissions::from_mode(0o555)).expect("read-only");
    for out in [out.clone(), out.join("new")] {
        let mut command = Command::new(&program);
        command.args(["seed", "--out"]).arg(&out).current_dir(folder.path());
        if root {
            command.uid(65534).gid(65534);
        }
        let stderr = refused(&command.output().expect("xtask starts"));
        assert!(stderr.contains(&out.display().to_string()), "{stderr}");
        assert!(stderr.contains("ermission denied"), "{stderr}");
    }
    assert!(names_in(&out).is_empty());
}

/// A file size limit simulates a full disk: both make a write fail in the middle of a file.
#[cfg(unix)]
#[test]
fn a_full_disk_is_an_error_that_leaves_the_old_set() {
    let folder = scratch();
    seeded(folder.path(), &["--days", "10"]);
    let before = set_in(folder.path());
    let script = "trap '' XFSZ; ulimit -f 100; exec \"$0\" seed --out \"$1\"";
    for out in [folder.path().to_path_buf(), folder.path().join("made/for/this")] {
        let output = Command::new("sh")
            .args(["-c", script, env!("CARGO_BIN_EXE_xtask")])
            .arg(&out)
            .output()
            .expect("a shell");
        let stderr = refused(&output);
        assert!(stderr.contains("failed to write") && stderr.contains(".xtask-seed/raw_"), "{stderr}");
        assert!(!out.join(".xtask-seed").exists(), "the unfinished files are gone");
    }
    assert_eq!(set_in(folder.path()), before);
    assert!(!folder.path().join("made/for/this").exists());
}

#[test]
fn killed_in_the_middle_it_leaves_the_old_set_and_the_next_run_tidies_up() {
    let folder = scratch();
    seeded(folder.path(), &["--days", "10"]);
    let before = set_in(folder.path());
    let long = ["--days", "700", "--orders-per-day", "100000"];
    let mut child = xtask()
        .args(["seed", "--out"])
        .arg(folder.path())
        .args(long)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("xtask starts");
    let part = folder.path().join(".xtask-seed/raw_inventory_movements.csv.part");
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::metadata(&part).map_or(0, |part| part.len()) < 300_000 {
        assert!(Instant::now() < deadline, "nothing is written");
        std::thread::sleep(Duration::from_millis(2));
    }
    let stderr = refused(&seed(folder.path(), &["--days", "10"]));
    assert!(stderr.contains("another `cargo xtask seed` is writing"), "{stderr}");
    child.kill().expect("killed");
    child.wait().expect("gone");

    assert_eq!(set_in(folder.path()), before);
    let mut names = our_names();
    names.insert(".xtask-seed".to_owned());
    assert_eq!(names_in(folder.path()), names);
    let mut parts = names_in(&folder.path().join(".xtask-seed"));
    parts.retain(|name| Path::new(name).extension().is_some_and(|extension| extension == "csv"));
    assert!(parts.is_empty(), "dbt would take any CSV file for a seed: {parts:?}");
    seeded(folder.path(), &["--days", "10"]);
    assert_eq!(names_in(folder.path()), our_names());
    assert_eq!(set_in(folder.path()), before);
}

#[test]
fn killed_at_any_moment_it_leaves_one_whole_set_or_says_so() {
    let (old, new, folder) = (scratch(), scratch(), scratch());
    let (old_options, new_options) = (["--days", "60", "--seed", "1"], ["--days", "60", "--seed", "2"]);
    seeded(old.path(), &old_options);
    let took = Instant::now();
    seeded(new.path(), &new_options);
    let took = took.elapsed() * 5 / 4;
    for attempt in 0..12_u32 {
        seeded(folder.path(), &old_options);
        let mut child = xtask()
            .args(["seed", "--out"])
            .arg(folder.path())
            .args(new_options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("xtask starts");
        std::thread::sleep(took * attempt / 11);
        // It may have come to its end already.
        drop(child.kill());
        child.wait().expect("gone");
        let left = set_in(folder.path());
        let announced = folder.path().join(".xtask-seed/complete").exists();
        let whole = left == set_in(old.path()) || left == set_in(new.path());
        assert!(whole || announced, "attempt {attempt}: a torn set that cannot be noticed");
    }
}

/// Where a process's peak memory can be read; the command reads its own and prints it.
#[cfg(target_os = "linux")]
#[test]
fn memory_does_not_grow_with_the_history() {
    let folder = scratch();
    let peak_mib = |days: &str| -> u64 {
        let options = ["--products", "100", "--orders-per-day", "80", "--days", days];
        let text = seeded(folder.path(), &options);
        let before = text.split(" MiB of memory").next().expect("a figure");
        before.rsplit(' ').next().expect("a figure").parse().expect("a number")
    };
    let (year, decade) = (peak_mib("365"), peak_mib("3650"));
    assert!(decade <= year + 3, "{year} MiB for a year, {decade} MiB for ten");
    // Most of it is the program itself, whose size depends on how it was compiled.
    assert!(decade < 48, "{decade} MiB");
}
