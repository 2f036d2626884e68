//! Explains the final output of a failed installer, and what the user can do about it.
//!
//! pip and uv fail in hundreds of lines. These are the few reasons that occur in practice; the relevant lines
//! are shown below the explanation, and the log has the rest.

use std::path::Path;

use anyhow::anyhow;

/// A known reason.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reason {
    pub(crate) what: &'static str,
    pub(crate) remedy: &'static str,
}

/// Signs of each reason, in lower case. The first match wins, so causes come before symptoms.
const KNOWN: [(&[&str], Reason); 7] = [
    (
        &["no space left on device", "os error 28)", "[errno 28]", "disk quota exceeded", "file too large"],
        Reason {
            what: "the disk is full",
            remedy: "free some space (the local set needs about 300 MB) and run it again",
        },
    ),
    (
        &["do not match the hashes", "hash mismatch", "hashes are required in --require-hashes"],
        Reason {
            what: "a downloaded package is not the one that was locked (hash mismatch)",
            remedy: "if the lock file was edited, restore it; if your package mirror changes packages, ask its owner; \
                   `cargo xtask python lock` writes it again",
        },
    ),
    (
        &[
            "certificate_verify_failed",
            "certificate verify failed",
            "invalid peer certificate",
            "unknownissuer",
        ],
        Reason {
            what: "the package index's certificate is not trusted here",
            remedy: "behind a company's proxy, set SSL_CERT_FILE and PIP_CERT to its certificate bundle",
        },
    ),
    (
        &["401 unauthorized", "403 forbidden", "401 error", "403 error", "user for "],
        Reason {
            what: "the package index refused the login",
            remedy: "check the user and password in PIP_INDEX_URL (pip) or UV_DEFAULT_INDEX (uv)",
        },
    ),
    (
        &["read-only file system", "permission denied", "[errno 13]", "[errno 30]"],
        Reason {
            what: "the environment's folder cannot be written to",
            remedy: "make it writable, or set XTASK_VENV to a folder that is (an absolute path)",
        },
    ),
    (
        &[
            "connection refused",
            "connection reset",
            "connection broken",
            "newconnectionerror",
            "name resolution",
            "dns error",
            "network is unreachable",
            "error sending request",
            "failed to fetch",
            "timed out",
            "proxyerror",
            "tunnel connection failed",
            "(from versions: none)",
        ],
        Reason {
            what: "the package index cannot be reached",
            remedy: "check the network; behind a proxy or with a mirror set HTTPS_PROXY, or PIP_INDEX_URL (pip) or \
                   UV_DEFAULT_INDEX (uv)",
        },
    ),
    (
        &[
            "no matching distribution",
            "no usable wheels",
            "has no wheels",
            "no solution found",
            "no `",
            "could not find a version",
        ],
        Reason {
            what: "a locked package does not exist for this machine or on this package index",
            remedy: "use Python 3.10 to 3.13 on Linux (glibc) or macOS, and an index that has all of PyPI",
        },
    ),
];

/// The reason that the installer's output shows, if it is a known one.
pub(crate) fn reason(output: &str) -> Option<&'static Reason> {
    let output = output.to_lowercase();
    KNOWN.iter().find(|(signs, _)| signs.iter().any(|sign| output.contains(sign))).map(|(_, reason)| reason)
}

/// An error for a folder that could not be worked with: which, why, and what to do.
pub(crate) fn of_folder(verb: &str, folder: &Path, error: std::io::Error) -> anyhow::Error {
    let remedy = reason(&error.to_string())
        .map_or("check the folder, or set XTASK_VENV to another one (an absolute path)", |known| {
            known.remedy
        });
    anyhow!(error).context(format!("failed to {verb} {}; {remedy}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn real_installer_output_is_recognised() {
        let cases = [
            ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "hash"),
            ("  cause: Hash mismatch for `tiny==1.0`", "hash"),
            ("  cause: tcp connect error\n  cause: Connection refused (os error 111)", "reached"),
            (
                "ERROR: Could not find a version that satisfies the requirement a==1 (from versions: none)",
                "reached",
            ),
            ("NameResolutionError: Temporary failure in name resolution", "reached"),
            (
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
                "full",
            ),
            ("  cause: No space left on device (os error 28)", "full"),
            ("error: failed to create directory: Read-only file system (os error 30)", "written"),
            ("  cause: invalid peer certificate: UnknownIssuer", "certificate"),
            ("HTTP status client error (401 Unauthorized) for url", "refused"),
        ];
        for (output, expected) in cases {
            let what = reason(output).map(|reason| reason.what).unwrap_or_default();
            assert!(what.contains(expected), "{output}: {what}");
        }
    }

    #[test]
    fn an_unknown_failure_is_not_explained_away() {
        assert_eq!(reason("Segmentation fault"), None);
    }
}
