//! Keys of one of the general tables that a model has for itself.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Some keys of the table `T`. What is not given is as it is for everybody.
pub struct Overrides<T> {
    given: Map<String, Value>,
    table: PhantomData<fn() -> T>,
}

impl<T> Overrides<T> {
    /// Whether a key is given.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.given.contains_key(key)
    }
}

impl<T: Serialize + DeserializeOwned + Clone> Overrides<T> {
    /// `general` with the given keys in place of its own.
    #[must_use]
    pub fn over(&self, general: &T) -> T {
        if self.given.is_empty() {
            return general.clone();
        }
        // Each key was read as the table's own, so that they fit any other table of its kind.
        overlay(general, &self.given).unwrap_or_else(|_| general.clone())
    }
}

fn overlay<T: Serialize + DeserializeOwned>(
    general: &T,
    given: &Map<String, Value>,
) -> serde_json::Result<T> {
    let mut tree = serde_json::to_value(general)?;
    if let Value::Object(general) = &mut tree {
        merge(general, given);
    }
    serde_json::from_value(tree)
}

fn merge(into: &mut Map<String, Value>, given: &Map<String, Value>) {
    for (key, value) in given {
        match (into.get_mut(key), value) {
            (Some(Value::Object(into)), Value::Object(given)) => merge(into, given),
            _ => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}

impl<'de, T: Serialize + DeserializeOwned + Default> Deserialize<'de> for Overrides<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Map::deserialize(deserializer)?;
        overlay(&T::default(), &given).map_err(D::Error::custom)?;
        Ok(Overrides {
            given,
            table: PhantomData,
        })
    }
}

impl<T> Serialize for Overrides<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.given.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Overrides<T> {
    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<T> Default for Overrides<T> {
    fn default() -> Self {
        Overrides {
            given: Map::new(),
            table: PhantomData,
        }
    }
}

impl<T> Clone for Overrides<T> {
    fn clone(&self) -> Self {
        Overrides {
            given: self.given.clone(),
            table: PhantomData,
        }
    }
}

impl<T> PartialEq for Overrides<T> {
    fn eq(&self, other: &Self) -> bool {
        self.given == other.given
    }
}

impl<T> fmt::Debug for Overrides<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Fleet, Limits, Spares};

    fn read<T: Serialize + DeserializeOwned + Default>(toml: &str) -> Result<Overrides<T>, String> {
        toml::from_str(toml).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_given_stands_and_the_rest_is_everybodys() {
        let general = Fleet {
            min: 2,
            max: 9,
            ..Fleet::default()
        };
        let own = read::<Fleet>("max = 3\nspares = 1\n[rollout]\nattempts = 7\n").unwrap();
        let fleet = own.over(&general);
        assert_eq!((fleet.min, fleet.max), (2, 3));
        assert_eq!(fleet.spares, Spares::Count(1));
        assert_eq!(fleet.rollout.attempts, 7);
        assert_eq!(fleet.rollout.load_for, general.rollout.load_for);
        assert!(own.has("max") && !own.has("min"));
        assert_eq!(Overrides::default().over(&general), general);
    }

    #[test]
    fn keys_are_the_tables_own() {
        for (toml, told) in [
            ("rat = 1", "unknown field `rat`"),
            ("rate = \"fast\"", "expected f64"),
        ] {
            let error = read::<Limits>(toml).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }

    #[test]
    fn it_is_written_as_it_was_read() {
        let own = read::<Limits>("queue = 3\nrequest_timeout = \"5s\"").unwrap();
        let json = serde_json::to_string(&own).unwrap();
        assert_eq!(json, r#"{"queue":3,"request_timeout":"5s"}"#);
        assert_eq!(
            serde_json::from_str::<Overrides<Limits>>(&json).unwrap(),
            own
        );
    }
}
