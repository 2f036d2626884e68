//! Files that are not YAML yet: Helm, cookiecutter and others make YAML of them.

use crate::lint::rule::Source;

/// Whether a file's path says that it is a template and a line of it begins with a tag. In other places such a line is
/// an error: dbt and GitHub read YAML first.
pub(super) fn is_one(source: &Source) -> bool {
    is_place(&source.path)
        && source
            .text
            .lines()
            .map(str::trim_start)
            .any(|line| line.starts_with("{%") || begins_with_code(line))
}

/// Helm and dbt-coves keep templates in a folder of that name, copier in `template`; cookiecutter names a folder by a
/// variable.
fn is_place(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    path.contains("{{")
        || name.contains(".j2.")
        || folders.split('/').any(|folder| matches!(folder, "template" | "templates"))
}

/// `{{- if .Values.a }}` and `{{ include "a" . }}`, but not a mapping in braces.
fn begins_with_code(line: &str) -> bool {
    line.starts_with("{{-")
        || line
            .strip_prefix("{{")
            .is_some_and(|rest| rest.split_once("}}").is_some_and(|(code, _)| !code.contains(':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_known_by_its_place_and_its_tags() {
        for (path, text, expected) in [
            ("charts/a/templates/b.yaml", "{{- if .Values.a }}\nb: 1\n{{- end }}\n", true),
            ("charts/a/templates/b.yaml", "a:\n  {{ include \"b\" . | nindent 2 }}\n", true),
            ("{{ cookiecutter.slug }}/a.yml", "{% if b %}\na: 1\n{% endif %}\n", true),
            ("roles/a.j2.yml", "{% for b in c %}\n- a\n{% endfor %}\n", true),
            ("charts/a/templates/b.yaml", "a: [1\n", false),
            ("charts/a/values.yaml", "{{- if .Values.a }}\n", false),
            ("models/a.yml", "{% if b %}\n", false),
            (".github/workflows/a.yml", "{% if b %}\n", false),
        ] {
            let source = Source { path: path.to_owned(), text: text.to_owned() };
            assert_eq!(is_one(&source), expected, "{path}: {text}");
        }
    }
}
