//! `metrics --format html` in a real browser: the page of a real build, opened from disk.
//!
//! Without Chromium these tests are skipped with a message, unless `XTASK_REQUIRE_BROWSER` is set. Pictures
//! of the page are kept in `target/tmp/report-page/`.

mod browser;

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use self::browser::Browser;
use crate::support::{BUILT, Checkout};

/// Charts and lists that the page of this repository must have, whatever their data.
const FIGURES: [&str; 22] = [
    "fill-rate-by-warehouse",
    "stock-outs",
    "reorder",
    "transfers",
    "at-risk",
    "suppliers",
    "forecast",
    "forecast-accuracy",
    "abc",
    "slow-movers",
    "runs",
    "tests",
    "timeline",
    "critical-path",
    "slowest",
    "failing",
    "freshness",
    "volumes",
    "queries",
    "durations",
    "storage",
    "graph",
];

/// Those that are tables without a chart.
const LISTS: [&str; 7] =
    ["reorder", "transfers", "at-risk", "suppliers", "forecast-accuracy", "failing", "test-history"];

/// Text that has an effect wherever it is not escaped.
const HOSTILE: &str = "</script></title><script>pwned=1</script><img src=x onerror='pwned=2'>\"' onload=\"pwned=3\" \u{202e}\u{1f4a5}";

/// The page of a checkout, as a file.
fn page(checkout: &Checkout) -> PathBuf {
    let file = checkout.path("report.html");
    checkout
        .run(&["metrics", "--schema", BUILT, "--format", "html", "--output", file.to_str().unwrap()])
        .expect(0);
    file
}

fn pictures() -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("report-page");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[track_caller]
fn expect_quiet(browser: &Browser, page: &std::path::Path) {
    assert_eq!(browser.complaints(), [""; 0]);
    assert_eq!(browser.requests(), [format!("file://{}", page.display())]);
}

#[test]
fn the_page_of_a_build_works_in_a_browser() {
    let Some(mut browser) = Browser::open() else { return };
    let checkout = Checkout::built();
    let page = page(&checkout);
    let size = fs::metadata(&page).unwrap().len();
    assert!(size < 1_500_000, "{size} bytes");

    browser.size(1440, 1000);
    browser.visit(&page);
    expect_quiet(&browser, &page);
    every_chart_has_marks_and_a_table(&mut browser);
    models_answer_to_a_click_and_to_keys(&mut browser);
    charts_are_read_with_keys(&mut browser);
    tables_sort_and_can_be_searched(&mut browser);
    the_first_screen_answers_three_questions(&mut browser);
    colours_switch(&mut browser);
    expect_quiet(&browser, &page);

    let pdf = browser.paper(&pictures().join("report.pdf"));
    assert!(pdf.starts_with(b"%PDF-"));
}

fn every_chart_has_marks_and_a_table(browser: &mut Browser) {
    let figures = browser.check("figures", "");
    let figures = figures.as_array().unwrap();
    for id in FIGURES {
        assert!(figures.iter().any(|figure| figure["id"] == id), "{id} is missing");
    }
    for figure in figures {
        let is_list = LISTS.iter().any(|id| figure["id"] == *id);
        let drawn = figure["marks"].as_u64().unwrap() > 0 && figure["named"] == true;
        let has_rows = figure["rows"].as_u64().unwrap() > 0;
        let says_why = figure["reason"].as_str().is_some_and(|reason| reason.len() > 10);
        assert!(says_why || has_rows && (drawn || is_list), "{figure}");
    }
    // After a successful build of sound data, every figure but the lists of what is wrong has content.
    let empty: Vec<&Value> = figures.iter().filter(|figure| !figure["reason"].is_null()).collect();
    let ids: Vec<&Value> = empty.iter().map(|figure| &figure["id"]).collect();
    assert_eq!(ids, ["suspicious-data", "failing"], "{empty:?}");
    assert_eq!(browser.ask("document.querySelectorAll('.kpi .value').length > 8"), true);
}

fn models_answer_to_a_click_and_to_keys(browser: &mut Browser) {
    assert_eq!(browser.check("detail", "")["hidden"], true);
    let index = browser.ask("JSON.parse(document.getElementById('nodes').textContent).findIndex((node) => node.n === 'daily_kpis')");
    browser.click(&format!(".node[data-i='{index}']"));
    let detail = browser.check("detail", "");
    assert_eq!(detail["hidden"], false);
    assert_eq!(detail["title"], "daily_kpis");
    assert_eq!(detail["pressed"], json!(["daily_kpis"]));
    let facts = &detail["facts"];
    assert_eq!(facts["SQL"], "models/gold/daily_kpis.sql");
    assert_eq!(facts["Kind"], "model, table");
    assert_eq!(facts["Layer"], "gold");
    assert_eq!(facts["Rows"], "1,188");
    assert!(facts["Took"].as_str().unwrap().ends_with('s'), "{facts}");
    let columns = browser.ask("document.querySelector('#detail .columns').textContent");
    assert!(columns.as_str().unwrap().contains("from daily_demand.filled_units"), "{columns}");
    let tests = detail["tests"].as_array().unwrap();
    assert!(tests.iter().any(|test| test == "key_and_rules_hold_daily_kpis"), "{tests:?}");
    assert!(detail["links"].as_array().unwrap().iter().any(|link| link == "daily_inventory"), "{detail}");
    assert!(detail["near"].as_u64().unwrap() > 5, "its ancestors are highlighted");

    browser.press("ArrowLeft");
    browser.press("Enter");
    browser.ask("document.activeElement.click()");
    let beside = browser.check("detail", "");
    assert_ne!(beside["title"], "daily_kpis");
    browser.press("Escape");
    assert_eq!(browser.check("detail", "")["hidden"], true);
}

fn charts_are_read_with_keys(browser: &mut Browser) {
    browser.ask("document.querySelector('#queries .plot').focus()");
    browser.press("End");
    assert_eq!(browser.ask("document.getElementById('tip').hidden"), false);
    let said = browser.ask("document.getElementById('live').textContent");
    assert!(said.as_str().unwrap().contains("Queries"), "{said}");
    browser.press("Escape");
    assert_eq!(browser.ask("document.getElementById('tip').hidden"), true);

    browser.ask("document.querySelector('#timeline .plot').focus()");
    browser.press("Home");
    let said = browser.ask("document.getElementById('live').textContent");
    assert!(said.as_str().unwrap().contains("Took"), "{said}");
    browser.press("Escape");
}

fn the_first_screen_answers_three_questions(browser: &mut Browser) {
    let answers = browser.ask(
        "[...document.querySelectorAll('.answer')].map((one) => [one.querySelector('h3').textContent,
             one.querySelector('.short').textContent, one.querySelectorAll('li').length,
             one.getBoundingClientRect().bottom + scrollY])",
    );
    let questions: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer[0]).collect();
    let healthy = json!(format!("Is {BUILT} healthy?"));
    assert_eq!(questions, [&healthy, &json!("What changed since yesterday?"), &json!("What should I do?")]);
    let short: Vec<&Value> = answers.as_array().unwrap().iter().map(|answer| &answer[1]).collect();
    assert_eq!(short, [&json!("Yes"), &json!("1 run, all succeeded"), &json!("Nothing")]);
    for answer in answers.as_array().unwrap() {
        assert!(answer[2].as_u64().unwrap() > 0 && answer[3].as_f64().unwrap() < 1000.0, "{answer}");
    }
}

fn tables_sort_and_can_be_searched(browser: &mut Browser) {
    let count = "document.querySelector('#timeline .table-tools [role=status]').textContent";
    let visible = "[...document.querySelectorAll('#timeline tbody tr')].filter((row) => !row.hidden).length";
    browser.ask("document.querySelector('#timeline details').open = true");
    let total =
        browser.ask("Number(document.querySelector('#timeline table').dataset.total)").as_u64().unwrap();
    assert!(total > 100, "{total}");
    assert_eq!(browser.ask(count), format!("25 of {total} rows"));
    assert_eq!(browser.ask(visible), 25);
    browser.click("#timeline .table-tools button");
    assert_eq!((browser.ask(count), browser.ask(visible)), (json!(format!("{total} rows")), json!(total)));
    browser.ask(
        "(() => { const box = document.querySelector('#timeline .table-tools input');
             box.value = 'MODEL daily_kpis'; box.dispatchEvent(new Event('input')); })()",
    );
    assert_eq!((browser.ask(count), browser.ask(visible)), (json!(format!("1 of {total} rows")), json!(1)));
    let value =
        "[...document.querySelectorAll('#reorder tbody tr')].map((row) => Number(row.cells[8].dataset.v))";
    browser.click("#reorder th:nth-child(9) button");
    let sorted: Vec<f64> = serde_json::from_value(browser.ask(value)).unwrap();
    assert!(sorted.len() > 1 && sorted.is_sorted_by(|a, b| a >= b), "{sorted:?}");
    assert_eq!(browser.ask("document.querySelector('#reorder th:nth-child(9)').ariaSort"), "descending");
}

fn colours_switch(browser: &mut Browser) {
    let paper = "getComputedStyle(document.body).backgroundColor";
    let light = browser.ask(paper);
    browser.prefers("dark");
    let dark = browser.ask(paper);
    assert_ne!(light, dark);
    browser.click("#theme");
    assert_eq!(browser.ask(paper), light);
    browser.click("#theme");
    assert_eq!(browser.ask(paper), dark);
}

#[test]
fn the_page_is_accessible_in_light_and_dark_wide_and_narrow() {
    let Some(mut browser) = Browser::open() else { return };
    let checkout = Checkout::built();
    let page = page(&checkout);
    for (width, scheme) in [(360, "light"), (360, "dark"), (768, "light"), (1280, "dark"), (1920, "light")] {
        let name = format!("{width}-{scheme}");
        browser.size(width, 900);
        browser.prefers(scheme);
        browser.visit(&page);
        browser.picture(&pictures().join(format!("{name}.png")));
        browser.click(".node");
        assert_eq!(browser.check("overflow", ""), 0, "{name}");
        if width == 360 {
            assert_eq!(browser.check("clipped", ""), json!([]), "{name}");
        }
        // The phone and a desk, light and dark: the others differ in nothing that axe looks at.
        if matches!(name.as_str(), "360-light" | "1280-dark") {
            let (broken, passed) = browser.axe();
            assert_eq!(broken, [""; 0], "{name}");
            assert!(passed > 20, "{name}: axe looked at {passed} rules only");
        }
        expect_quiet(&browser, &page);
    }
}

#[test]
fn hostile_text_shows_as_text() {
    let Some(mut browser) = Browser::open() else { return };
    let checkout = Checkout::built();
    let text = HOSTILE.replace('\'', "''");
    checkout.sql(&format!(
        "update {BUILT}.ledger_nodes set name = '{text}' || name, message = '{text}';
         update {BUILT}.ledger_runs set message = '{text}', git_branch = '{text}', triggered_by = '{text}';
         update {BUILT}.ledger_queries set user_name = '{text}';
         update {BUILT}.reorder_recommendations set product_name = '{text}';
         update {BUILT}.ledger_relations set relation_name = '{text}' where relation_name = 'daily_kpis'"
    ));
    let manifest = format!("dbt/target/{BUILT}/manifest.json");
    checkout.edit(&manifest, |json| {
        let mut manifest: Value = serde_json::from_str(&json).unwrap();
        let model = &mut manifest["nodes"]["model.logistics.daily_kpis"];
        model["name"] = json!(HOSTILE);
        model["description"] = json!(HOSTILE);
        manifest.to_string()
    });
    let page = page(&checkout);
    browser.size(1440, 900);
    browser.visit(&page);
    let index = browser.ask("JSON.parse(document.getElementById('nodes').textContent).findIndex((node) => node.d?.startsWith('</script>'))");
    browser.click(&format!(".node[data-i='{index}']"));

    let detail = browser.check("detail", "");
    assert_eq!(detail["title"], HOSTILE);
    for id in ["reorder", "timeline", "runs", "by-user", "volumes"] {
        let text = browser.ask(&format!("document.getElementById('{id}').textContent"));
        assert!(text.as_str().unwrap().contains(HOSTILE), "{id}");
    }
    assert_eq!(browser.ask("typeof pwned"), "undefined");
    assert_eq!(browser.ask("document.querySelectorAll('img, [onload], [onerror]').length"), 0);
    assert_eq!(browser.ask("document.scripts.length"), 2);
    expect_quiet(&browser, &page);
}

#[test]
fn a_project_of_a_thousand_models_is_one_page_too() {
    let Some(mut browser) = Browser::open() else { return };
    let checkout = Checkout::built();
    grow(&checkout, 1000);
    let page = page(&checkout);
    let size = fs::metadata(&page).unwrap().len();
    assert!(size < 3_000_000, "{size} bytes");

    for (width, scheme) in [(360, "dark"), (1920, "light")] {
        browser.size(width, 900);
        browser.prefers(scheme);
        browser.visit(&page);
        expect_quiet(&browser, &page);
        browser.picture(&pictures().join(format!("thousand-{width}-{scheme}.png")));
        assert_eq!(browser.check("overflow", ""), 0, "{width}");
        if width == 360 {
            assert_eq!(browser.check("clipped", ""), json!([]));
        }
    }
    assert_eq!(browser.ask("document.querySelectorAll('.node').length"), 1000);
    assert_eq!(browser.ask("document.querySelectorAll('#timeline .mark').length"), 5000);
    browser.click(".node[data-i='990']");
    let detail = browser.check("detail", "");
    assert_eq!(detail["tests"].as_array().unwrap().len(), 4);
    let opened = browser.ask("performance.getEntriesByType('navigation')[0].loadEventEnd");
    println!("the page of 1,000 models: {size} bytes, opened in {opened} ms");
}

/// Write a run of `models` models with four tests each into the ledger, and the manifest of such a project.
fn grow(checkout: &Checkout, models: usize) {
    checkout.sql(&format!(
        "update {BUILT}.ledger_runs set started_at = started_at - interval 1 hour;
         create temp table big as
             select i, 'model_with_a_name_of_usual_length_' || i as name,
                 ['bronze', 'silver', 'gold', 'monitoring'][1 + i * 4 // {models}] as layer,
                 (select max(started_at) from {BUILT}.ledger_runs) + interval 10 minute as begun
             from range({models}) as r(i);
         insert into {BUILT}.ledger_runs by name
             select * replace (
                 'big' as run_id,
                 started_at + interval 10 minute as started_at,
                 started_at + interval 15 minute as finished_at
             )
             from {BUILT}.ledger_runs order by started_at desc limit 1;
         insert into {BUILT}.ledger_nodes by name
             select 'big' as run_id, 'model.big.' || name as node_id, name, 'model' as kind, layer,
                 'table' as materialized, 'success' as status, begun + i * interval 200 millisecond as started_at,
                 0.15 as seconds, 1000 + i as rows, 'models/' || layer || '/' || name || '.sql' as path
             from big
             union all by name
             select 'big' as run_id, 'test.big.' || name || '_holds_' || t as node_id, name || '_holds_' || t as name,
                 'test' as kind, layer, 'pass' as status,
                 begun + i * interval 200 millisecond + interval 160 millisecond as started_at,
                 0.03 as seconds, 0 as failures, 'models/' || layer || '/' || name || '.yml' as path
             from big, range(4) as r(t);
         insert into {BUILT}.ledger_relations by name
             select 'big' as run_id, name as relation_name, 'table' as relation_type, layer,
                 1000 + i as row_count, 262144 as bytes, begun as measured_at
             from big"
    ));
    let name = |i: usize| format!("model_with_a_name_of_usual_length_{i}");
    let mut nodes = serde_json::Map::new();
    for i in 0..models {
        let layer = ["bronze", "silver", "gold", "monitoring"][i * 4 / models];
        let parents = (0..3).filter_map(|n| i.checked_sub(models / 4 + n * 3));
        let parents: Vec<String> = parents.map(|parent| format!("model.big.{}", name(parent))).collect();
        nodes.insert(
            format!("model.big.{}", name(i)),
            json!({"name": name(i), "resource_type": "model", "fqn": ["big", layer, name(i)],
                   "original_file_path": format!("models/{layer}/{}.sql", name(i)),
                   "description": "Grain: one row per day and product. ".repeat(8),
                   "config": {"materialized": "table"}, "depends_on": {"nodes": parents}}),
        );
        for test in 0..4 {
            let test = format!("{}_holds_{test}", name(i));
            let model = format!("model.big.{}", name(i));
            nodes.insert(
                format!("test.big.{test}"),
                json!({"name": test, "resource_type": "test", "attached_node": model,
                       "depends_on": {"nodes": [model]}}),
            );
        }
    }
    let manifest = checkout.path(&format!("dbt/target/{BUILT}/manifest.json"));
    fs::write(manifest, json!({"nodes": nodes}).to_string()).unwrap();
}

#[test]
fn an_environment_without_a_run_shows_why_nothing_is_known() {
    let Some(mut browser) = Browser::open() else { return };
    let checkout = Checkout::new();
    checkout.run(&["schema", "create", "--schema", BUILT]).expect(0);
    let page = page(&checkout);
    browser.size(390, 900);
    browser.visit(&page);
    let figures = browser.check("figures", "");
    for figure in figures.as_array().unwrap() {
        let says_why = figure["reason"].as_str().is_some_and(|reason| reason.len() > 10);
        assert!(says_why || figure["rows"].as_u64().unwrap() > 0, "{figure}");
    }
    let reorder = figures.as_array().unwrap().iter().find(|figure| figure["id"] == "reorder").unwrap();
    assert!(
        reorder["reason"].as_str().unwrap().contains("reorder_recommendations does not exist in"),
        "{reorder}"
    );
    assert_eq!(browser.axe().0, [""; 0]);
    expect_quiet(&browser, &page);
}
