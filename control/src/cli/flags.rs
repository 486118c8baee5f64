//! Flags as the original takes them: `-x v`, `-x=v`, `--x v`, anywhere among the arguments.

use dataplane::value::parse_bool;

use super::CliError;

/// Arguments, sorted out.
#[derive(Debug, Default)]
pub struct Flags {
    pub words: Vec<String>,
    values: Vec<(String, String)>,
}

impl Flags {
    /// Reads arguments; `with_value` and `switches` are the flags that are known.
    pub fn read(arguments: &[String], with_value: &[&str], switches: &[&str]) -> Result<Flags, CliError> {
        let mut flags = Flags::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let Some(name) = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-')) else {
                flags.words.push(argument.clone());
                continue;
            };
            let (name, given) = match name.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (name, None),
            };
            if switches.contains(&name) {
                let given = given.map(|value| match parse_bool(&value) {
                    Some(value) => Ok(value.to_string()),
                    None => Err(CliError::Usage(format!("invalid boolean value {value:?} for -{name}"))),
                });
                let given = given.transpose()?;
                flags.values.push((name.to_owned(), given.unwrap_or_else(|| "true".to_owned())));
            } else if with_value.contains(&name) {
                let value = given.or_else(|| arguments.next().cloned());
                let value = value.ok_or_else(|| CliError::Usage(format!("flag needs an argument: -{name}")))?;
                flags.values.push((name.to_owned(), value));
            } else {
                return Err(CliError::Usage(format!("flag provided but not defined: -{name}")));
            }
        }
        Ok(flags)
    }

    /// The last value of a flag.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().rev().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value != "false")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_may_stand_anywhere() {
        let arguments = ["-dbrp", "a.b", "id", "--dbrp=c.d", "-no-reload"].map(str::to_owned);
        let flags = Flags::read(&arguments, &["dbrp"], &["no-reload"]).unwrap();
        assert_eq!(flags.words, ["id"]);
        assert_eq!(flags.all("dbrp").collect::<Vec<_>>(), ["a.b", "c.d"]);
        assert!(flags.is_set("no-reload"));
        assert!(Flags::read(&arguments, &[], &[]).is_err());
    }
}
