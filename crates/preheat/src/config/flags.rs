//! Flags for every setting, made from the table that also names its variable and key.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};
use preheat_api::settings::{SETTINGS, Setting};

/// The flags that were given, by their long names.
#[derive(Debug, Clone, Default)]
pub struct Flags(BTreeMap<&'static str, String>);

impl Flags {
    pub fn get(&self, flag: &str) -> Option<&str> {
        self.0.get(flag).map(String::as_str)
    }
}

fn arg(setting: &'static Setting) -> Arg {
    let arg = Arg::new(setting.key)
        .long(setting.flag)
        .help(format!("{} [env: {}]", setting.help, setting.env))
        .help_heading("Settings")
        .action(ArgAction::Set);
    if is_switch(setting) {
        arg.num_args(0..=1)
            .default_missing_value("true")
            .require_equals(true)
            .value_name("BOOL")
    } else {
        arg.value_name(setting.key.rsplit('.').next().unwrap_or("value"))
    }
}

fn is_switch(setting: &Setting) -> bool {
    matches!(
        setting.key,
        "warmup.skip" | "cache.offline" | "fleet.scale_to_zero" | "model.0.http.pure"
    )
}

impl Args for Flags {
    fn augment_args(command: Command) -> Command {
        command.args(SETTINGS.iter().map(arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = SETTINGS.iter().filter_map(|setting| {
            let value = matches.get_one::<String>(setting.key)?;
            Some((setting.flag, value.clone()))
        });
        Ok(Flags(given.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
