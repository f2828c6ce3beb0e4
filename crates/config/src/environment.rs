//! Reading variables, and saying everything that is wrong with them together.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::Secret;

/// The variables that a process was started with, and what was found wrong with them so far.
#[derive(Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, Secret>,
    problems: Vec<String>,
}

/// Everything that is wrong with the configuration. A retry can't help.
#[derive(Debug, thiserror::Error)]
#[error("the configuration has {} problem(s):\n  {}", .0.len(), .0.join("\n  "))]
pub struct ConfigError(pub Vec<String>);

impl Environment {
    /// The process's variables; those of a `.env` file in the working folder (or above it) fill the
    /// gaps.
    #[must_use]
    pub fn load() -> Self {
        let mut environment = Self::default();
        match dotenvy::dotenv_iter() {
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok((name, value)) => {
                            environment.variables.insert(name, Secret::new(value));
                        }
                        Err(error) => environment.problems.push(unreadable(&error)),
                    }
                }
            }
            Err(error) if error.not_found() => {}
            Err(error) => environment.problems.push(unreadable(&error)),
        }
        environment.extend(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }));
        environment
    }

    /// Variables given by the caller, for tests.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let mut environment = Self::default();
        environment.extend(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        environment
    }

    fn extend(&mut self, pairs: impl Iterator<Item = (String, String)>) {
        self.variables
            .extend(pairs.map(|(name, value)| (name, Secret::new(value))));
    }

    /// The variable's value, or `None` where it is missing or empty.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        let value = self.variables.get(name)?.expose().trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The variable's value, or `default`.
    #[must_use]
    pub fn text(&self, name: &str, default: &str) -> String {
        self.optional(name).unwrap_or_else(|| default.to_owned())
    }

    /// A secret: the value of `name`, or the content of the file that `NAME_FILE` names, as Docker
    /// and Kubernetes mount secrets; white space around it is dropped. `None` where neither is set.
    /// Both of them set, and a file that can't be read or is empty, are noted as problems.
    pub fn secret(&mut self, name: &str) -> Option<Secret> {
        let file_variable = format!("{name}_FILE");
        let value = self.optional(name);
        let Some(path) = self.optional(&file_variable) else {
            return value.map(Secret::new);
        };
        if value.is_some() {
            self.problem(name, format!("and {file_variable} are both set: keep one"));
            return None;
        }
        match std::fs::read_to_string(&path) {
            Ok(content) if content.trim().is_empty() => {
                self.problem(&file_variable, format!("names an empty file: {path}"));
                None
            }
            Ok(content) => Some(Secret::new(content.trim())),
            Err(error) => {
                self.problem(&file_variable, format!("can't be read: {path}: {error}"));
                None
            }
        }
    }

    /// Several secrets for rotation, read as [`Environment::secret`] reads one, separated by commas
    /// or line breaks. Empty where neither variable is set; one that is set and holds no secret is
    /// noted as a problem, so that an accident never opens a door.
    pub fn secrets(&mut self, name: &str) -> Vec<Secret> {
        let Some(value) = self.secret(name) else {
            return Vec::new();
        };
        let secrets: Vec<Secret> = value
            .expose()
            .split([',', '\n'])
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Secret::new)
            .collect();
        if secrets.is_empty() {
            self.problem(name, "is set but holds no secret");
        }
        secrets
    }

    /// A number within `range`, or `default`. Anything else is noted as a problem.
    pub fn number<T>(&mut self, name: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        let Some(text) = self.optional(name) else {
            return default;
        };
        match text.parse::<T>() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let (from, to) = (range.start(), range.end());
                self.problem(
                    name,
                    format!("must be a number from {from} to {to}, not {text:?}"),
                );
                default
            }
        }
    }

    /// A number, or `None` where the variable is missing. Anything else is noted as a problem.
    pub fn optional_number<T>(&mut self, name: &str, range: RangeInclusive<T>) -> Option<T>
    where
        T: FromStr + PartialOrd + Display + Copy,
    {
        self.optional(name)?;
        let fallback = *range.start();
        Some(self.number(name, fallback, range))
    }

    /// `true`/`1`/`yes`/`on` or `false`/`0`/`no`/`off`, or `default`. Anything else is a problem.
    pub fn flag(&mut self, name: &str, default: bool) -> bool {
        let Some(text) = self.optional(name) else {
            return default;
        };
        match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => true,
            "false" | "0" | "no" | "off" => false,
            _ => {
                self.problem(name, format!("must be true or false, not {text:?}"));
                default
            }
        }
    }

    /// Notes what is wrong with a variable.
    pub fn problem(&mut self, name: &str, text: impl Display) {
        self.problems.push(format!("{name} {text}"));
    }

    /// Ends reading.
    ///
    /// # Errors
    /// [`ConfigError`] with everything that was noted.
    pub fn finish(self) -> Result<(), ConfigError> {
        if self.problems.is_empty() {
            Ok(())
        } else {
            Err(ConfigError(self.problems))
        }
    }
}

/// What is wrong with `.env`. The library's own words would repeat the line, with its secret.
fn unreadable(error: &dotenvy::Error) -> String {
    match error {
        dotenvy::Error::LineParse(line, index) => {
            let name = line.split('=').next().unwrap_or_default().trim();
            let known = name
                .chars()
                .all(|character| character.is_ascii_alphanumeric() || character == '_');
            let name = if known && line.contains('=') {
                name
            } else {
                "a line without a name"
            };
            format!(".env: {name} can't be read from its character {index} on; see .env.example")
        }
        error => format!(".env: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Environment, unreadable};

    #[test]
    fn a_line_that_can_not_be_read_is_named_without_its_value() {
        for (line, name) in [
            ("OPENAI_API_KEY=sk-very secret", "OPENAI_API_KEY"),
            ("sk-very-secret", "a line without a name"),
            ("sk-very-secret = 5", "a line without a name"),
        ] {
            let told = unreadable(&dotenvy::Error::LineParse(line.to_owned(), 22));
            assert!(told.contains(name) && !told.contains("very"), "{told}");
        }
    }

    #[test]
    fn all_problems_are_told_together() {
        let mut environment = Environment::from_pairs([("PORT", "eighty"), ("WAIT", "3")]);
        assert_eq!(environment.number("PORT", 8080_u16, 1..=65535), 8080);
        assert_eq!(environment.number("WAIT", 30_u32, 5..=300), 30);
        let message = environment.finish().unwrap_err().to_string();
        assert!(message.contains("2 problem(s)"), "{message}");
        assert!(
            message.contains("PORT must be a number from 1 to 65535, not \"eighty\""),
            "{message}"
        );
        assert!(
            message.contains("WAIT must be a number from 5 to 300, not \"3\""),
            "{message}"
        );
    }

    #[test]
    fn an_empty_variable_is_a_missing_one() {
        let mut environment = Environment::from_pairs([("KEY", " "), ("KEYS", "a, b,,")]);
        assert_eq!(environment.optional("KEY"), None);
        assert_eq!(environment.secrets("KEY").len(), 0);
        assert_eq!(environment.secrets("KEYS").len(), 2);
    }

    /// Writes a file of a secret and returns its path.
    fn file(folder: &tempfile::TempDir, content: &str) -> String {
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_secret_can_come_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "first,second\n");
        // An empty variable beside it, as a template may set it, is a missing one.
        let mut environment = Environment::from_pairs([("KEY_FILE", path.as_str()), ("KEY", "")]);
        assert_eq!(environment.secret("KEY").unwrap().expose(), "first,second");
        assert_eq!(environment.secrets("KEY").len(), 2);
        file(&folder, "one\ntwo\nthree\n");
        assert_eq!(environment.secrets("KEY").len(), 3);
        environment.finish().unwrap();
    }

    #[test]
    fn a_secret_given_twice_names_both_variables() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder, "from-the-file");
        let mut environment = Environment::from_pairs([("KEY", "direct"), ("KEY_FILE", &path)]);
        assert_eq!(environment.secret("KEY"), None);
        let message = environment.finish().unwrap_err().to_string();
        assert!(
            message.contains("KEY and KEY_FILE are both set"),
            "{message}"
        );
    }

    #[test]
    fn a_file_without_a_secret_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let empty = file(&folder, " \n");
        for (path, complaint) in [
            (empty.as_str(), "KEY_FILE names an empty file"),
            ("/nowhere/secret", "KEY_FILE can't be read: /nowhere/secret"),
        ] {
            let mut environment = Environment::from_pairs([("KEY_FILE", path)]);
            assert_eq!(environment.secrets("KEY"), []);
            let message = environment.finish().unwrap_err().to_string();
            assert!(message.contains(complaint), "{message}");
        }
    }

    #[test]
    fn a_list_of_nothing_is_a_problem_and_no_open_door() {
        let mut environment = Environment::from_pairs([("KEYS", ", ,")]);
        assert_eq!(environment.secrets("KEYS"), []);
        let message = environment.finish().unwrap_err().to_string();
        assert!(
            message.contains("KEYS is set but holds no secret"),
            "{message}"
        );
    }

    #[test]
    fn values_never_show_in_debug_output() {
        let environment = Environment::from_pairs([("OPENAI_API_KEY", "sk-very-secret")]);
        assert!(!format!("{environment:?}").contains("sk-very-secret"));
    }
}
