//! What is downloaded for dbt v2, for each platform: which file, where from, and its digest.
//!
//! Nothing is taken by name alone: a file whose SHA-256 differs from the one here is not used, whichever
//! mirror it came from. The DuckDB library, its program and the Snowflake driver have the versions that
//! `dbt/requirements/` locks for dbt v1 (a test compares them), because a DuckDB file is read by both.

/// A file that is downloaded as it is.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) from: Origin,
    pub(crate) sha256: &'static str,
}

/// Where a file is published.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A wheel on the Python package index; `path` is its place on the index's own file server.
    Index { package: &'static str, file: &'static str, path: &'static str },
    /// A file on a page of releases.
    Release { base: &'static str, file: &'static str },
    /// A package of the npm registry.
    Npm { package: &'static str, version: &'static str },
}

impl Origin {
    /// The name that the file is published under.
    pub(crate) fn file_name(&self) -> String {
        match self {
            Self::Index { file, .. } | Self::Release { file, .. } => (*file).to_owned(),
            Self::Npm { package, version } => {
                format!("{}-{version}.tgz", package.rsplit('/').next().unwrap_or(package))
            }
        }
    }
}

/// A part of what dbt v2 needs, with the files that are unpacked for it.
#[derive(Debug)]
pub(crate) struct Pin {
    pub(crate) version: &'static str,
    pub(crate) downloads: &'static [Download],
}

/// All that is pinned for one platform.
#[derive(Debug)]
pub(crate) struct Platform {
    /// As driver manifests name it.
    pub(crate) adbc: &'static str,
    /// The newest stable release of dbt v2 under the Apache licence. Its index entry is a source
    /// distribution that downloads this same wheel, with this digest, while it is installed.
    pub(crate) release: Pin,
    /// The newest dbt v2 under the Apache licence whose binary is on the package index itself.
    pub(crate) wheel: Pin,
    /// DuckDB as a library for dbt, and its program for the toolkit.
    pub(crate) duckdb: Pin,
    pub(crate) snowflake: Pin,
}

pub(crate) const DUCKDB: &str = "1.5.6";
pub(crate) const SNOWFLAKE: &str = "1.11.0";
const RELEASE: &str = "2.0.8";
const WHEEL: &str = "2.0.0a4";
const RELEASES: &str = "https://github.com/dbt-labs/dbt/releases/download/v2.0.8";
const NPM: &str = "1.5.6-r.1";

macro_rules! platform {
    (
        $adbc:literal,
        release: $release:literal $release_sha:literal,
        wheel: $wheel:literal $wheel_path:literal $wheel_sha:literal,
        library: $library:literal $library_sha:literal,
        program: $program:literal $program_path:literal $program_sha:literal,
        driver: $snowflake:literal $snowflake_path:literal $snowflake_sha:literal $(,)?
    ) => {
        Platform {
            adbc: $adbc,
            release: Pin {
                version: RELEASE,
                downloads: &[Download {
                    from: Origin::Release { base: RELEASES, file: $release },
                    sha256: $release_sha,
                }],
            },
            wheel: Pin {
                version: WHEEL,
                downloads: &[Download {
                    from: Origin::Index { package: "dbt-core", file: $wheel, path: $wheel_path },
                    sha256: $wheel_sha,
                }],
            },
            duckdb: Pin {
                version: DUCKDB,
                downloads: &[
                    Download { from: Origin::Npm { package: $library, version: NPM }, sha256: $library_sha },
                    Download {
                        from: Origin::Index { package: "duckdb-cli", file: $program, path: $program_path },
                        sha256: $program_sha,
                    },
                ],
            },
            snowflake: Pin {
                version: SNOWFLAKE,
                downloads: &[Download {
                    from: Origin::Index {
                        package: "adbc-driver-snowflake",
                        file: $snowflake,
                        path: $snowflake_path,
                    },
                    sha256: $snowflake_sha,
                }],
            },
        }
    };
}

const LINUX_X64: Platform = platform! {
    "linux_amd64",
    release: "dbt_oss-2.0.8-cp310-abi3-manylinux_2_28_x86_64.whl"
        "6a9df409a6953b33af6f9827d8663e5b55a84b5ae84b2a453154a9c58097f9e6",
    wheel: "dbt_core-2.0.0a4-py3-none-manylinux_2_28_x86_64.whl"
        "d8/d9/b5df145739e5819295701b1a7e48c6ed3e5d1cb1ae3053401f3d78e2cfa3"
        "bb9524d16e83c389fdbc1cc06a5791a66c5c7c28d7914437afed307575b2e713",
    library: "@duckdb/node-bindings-linux-x64"
        "1b9f82478539bb9a1d1df44bd103121a12ae52142c07158dc52b97d2ec1d69ff",
    program: "duckdb_cli-1.5.6-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
        "9c/b5/4ed517e199e817c6f1900d6b25c55166f2f7933f6d05571eab8564bc528c"
        "9797555bd39095d730eb0d0b3bf29e95e148c96a4cdce1e363f01c7bf7003a44",
    driver: "adbc_driver_snowflake-1.11.0-py3-none-manylinux1_x86_64.manylinux_2_28_x86_64.manylinux_2_5_x86_64.whl"
        "6f/26/baa44b8b9faaf26846dd8c0e513c7ce6862d7f35de46ee61175ac976699f"
        "7c7d7ecef7246303648a08cee3d78c383133bea8f2e1568cf6e8750ab94b5a57",
};

const LINUX_ARM64: Platform = platform! {
    "linux_arm64",
    release: "dbt_oss-2.0.8-cp310-abi3-manylinux_2_28_aarch64.whl"
        "b38e995faeb9b744966fb9dc8b09377021704a9403d74d519e782bd2a009290b",
    wheel: "dbt_core-2.0.0a4-py3-none-manylinux_2_28_aarch64.whl"
        "96/8b/61696b27f1459bd1a43d9c93cf6ba15dd090911d963ecdf12b0d832786ed"
        "f85193ed2b03727afa009846746b1b6ab62fb6aad8c221ec7d6ed6c01f5a5f06",
    library: "@duckdb/node-bindings-linux-arm64"
        "3a45a6305b3235a781ed9de25aa795a3862acd042782d1f864e1bdb656de212b",
    program: "duckdb_cli-1.5.6-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.whl"
        "9c/53/57db6896bad6bdd8d5078bcfb1424f812c8c16fad3856e86367331d0ec11"
        "9b03301a14310a4ef7f86386e87b36954fe099ed762c8a81f94f7bd0ba073542",
    driver: "adbc_driver_snowflake-1.11.0-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.manylinux_2_28_aarch64.whl"
        "5d/41/fe557f0d8414037dfe86fcba6338eb094a51da894050ec9a4c9f4504513d"
        "07b5edbeb1b85be0882d7095641df26a24b3b4c2ba4d8edda35e3bbe89e70a06",
};

const MACOS_X64: Platform = platform! {
    "macos_amd64",
    release: "dbt_oss-2.0.8-cp310-abi3-macosx_10_12_x86_64.whl"
        "a1d49bcfb3097f88eaf25e1b2e93b37a9fb82ceba27c2ff61d90ea6793a95bcb",
    wheel: "dbt_core-2.0.0a4-py3-none-macosx_10_12_x86_64.whl"
        "eb/9a/c06fdc178c45cb215959524e5bea4df4fcc60b28de4df8fb617720316a1c"
        "0d97efeb7d25986a6d48bfe1ce4c4b14d8fb6c6f2bd9aa5d35d4cd27c1b9bf13",
    library: "@duckdb/node-bindings-darwin-x64"
        "1004f6a9ec624612e8d30e25010070e7e3aac23fc807146a470c5a4f6f6e38e0",
    program: "duckdb_cli-1.5.6-py3-none-macosx_12_0_x86_64.whl"
        "c7/0a/d0fe7f4e8f9aa7b193528fef6310497a719e845fdc63e0b2bf4d04e788ac"
        "9bcad8efb4bf3fc9ceacb226e557976446fa19930f8714f59d18d9acc1b9a35b",
    driver: "adbc_driver_snowflake-1.11.0-py3-none-macosx_10_15_x86_64.whl"
        "2a/f3/1125c7929faf750e7a5bdcec33ca22259ce040338dae12f75f3eb8080def"
        "5ebddfa5fc0b5cd7c86b5cce17bb578889c8db5ff2b756903b64e684b56829e8",
};

const MACOS_ARM64: Platform = platform! {
    "macos_arm64",
    release: "dbt_oss-2.0.8-cp310-abi3-macosx_11_0_arm64.whl"
        "662a728a6ced5d777ed4d50249fe8f48d6c3de6589458391614492999d6d7427",
    wheel: "dbt_core-2.0.0a4-py3-none-macosx_11_0_arm64.whl"
        "aa/e9/dbabd1af9c492fef1e430d4208719c191ba2111290cd10a4bac2ad7426ac"
        "b8ddc0322ba6ed7860a74fcc4b10b7463ff62fe7f41d71a56a7efe34d53fbdab",
    library: "@duckdb/node-bindings-darwin-arm64"
        "6ca33c2c6566246d6a452e24194f004010dd860d5b2764c7143ff255555862ca",
    program: "duckdb_cli-1.5.6-py3-none-macosx_12_0_arm64.whl"
        "08/bb/fbc6f6ea745970b72c6413bc20d13367438363b8300c592ca1936d12c278"
        "239b7a1af956931b6f91fe62b23912c4afdcb3538d0c00853126425067a4afe4",
    driver: "adbc_driver_snowflake-1.11.0-py3-none-macosx_11_0_arm64.whl"
        "d5/1d/88d564a8941607e6e555a3d3290ecb92852d4aa5a926a1cdbe86b17a8424"
        "be862f8d0b6a507dae5c0644e13be79290180532c097d97c5a95a294c0bb5302",
};

/// The pins for this machine; `None` if dbt v2 is not published for it, or not for its C library.
pub(crate) fn here() -> Option<&'static Platform> {
    match (std::env::consts::OS, std::env::consts::ARCH) {
        ("linux", "x86_64") if cfg!(target_env = "gnu") => Some(&LINUX_X64),
        ("linux", "aarch64") if cfg!(target_env = "gnu") => Some(&LINUX_ARM64),
        ("macos", "x86_64") => Some(&MACOS_X64),
        ("macos", "aarch64") => Some(&MACOS_ARM64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One DuckDB file is opened by dbt v1, dbt v2 and the toolkit, so all have one version of it.
    #[test]
    fn pins_agree_with_the_python_locks() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../dbt/requirements");
        for (lock, package, version, pin) in [
            ("local.txt", "duckdb-cli", DUCKDB, (|platform| &platform.duckdb) as fn(&Platform) -> &Pin),
            ("snowflake.txt", "adbc-driver-snowflake", SNOWFLAKE, |platform| &platform.snowflake),
        ] {
            let text = std::fs::read_to_string(root.join(lock)).expect("a lock");
            assert!(text.contains(&format!("{package}=={version} ")), "{package} {version} is not in {lock}");
            for platform in [&LINUX_X64, &LINUX_ARM64, &MACOS_X64, &MACOS_ARM64] {
                let wheels = pin(platform)
                    .downloads
                    .iter()
                    .filter(|file| matches!(file.from, Origin::Index { package: of, .. } if of == package));
                for wheel in wheels {
                    assert!(text.contains(wheel.sha256), "{} is not locked", wheel.from.file_name());
                }
            }
        }
        assert!(NPM.starts_with(&format!("{DUCKDB}-")), "the library's package follows DuckDB's version");
    }
}
