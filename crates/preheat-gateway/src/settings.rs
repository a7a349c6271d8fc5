//! What the configuration means for a gateway: validated, with files read and nothing left to
//! interpret.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::PathBuf;
use std::time::Duration;

use preheat_api::config::{self, Config, EngineKind, HealthIs, Model, Overrides, Route, Spares};
use preheat_core::Slo;
use preheat_core::hold::HoldPolicy;
use preheat_core::pool::PoolSize;
use preheat_core::rollout::RolloutPolicy;
use preheat_core::scaling::ScalePolicy;
use preheat_runtime::cors::Origins;
use preheat_runtime::keys::Keys;
use preheat_runtime::tls::TlsFiles;
use preheat_runtime::{DrainLimits, EdgeConfig, cpu};
use rustix::process::geteuid;

use crate::data::{ArrivalLimits, FrontLimits};
use crate::fleet::FleetSettings;
use crate::provision::LocalSettings;
use crate::schedule::Schedule;
use crate::service::Nature;

mod check;
mod route;

/// A replica's own limits on top of its drain before it is ended by force.
const STOP_SLACK: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
pub struct Settings {
    pub http: String,
    pub grpc: String,
    pub admin: String,
    pub edge: EdgeConfig,
    pub tls_files: Option<TlsFiles>,
    pub keys: Keys,
    pub admin_keys: Keys,
    /// Requests a second for each key or client; none: no limit.
    pub rate: Option<f64>,
    pub health_is: HealthIs,
    pub cors_origins: Origins,
    pub limits: FrontLimits,
    pub drain: DrainLimits,
    pub dir: PathBuf,
    pub services: Vec<ServiceSettings>,
}

/// One model behind the gateway.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    pub name: String,
    pub nature: Nature,
    pub route: Route,
    pub request_timeout: Duration,
    /// Requests a second of each key or client to this service; none: no limit but the general one.
    pub rate: Option<f64>,
    pub hold: HoldPolicy,
    pub fleet: FleetSettings,
    pub schedule: Schedule,
    pub local: LocalSettings,
}

/// What the binary knows of the process's surroundings; nobody else reads the environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The binary itself, to start replicas with.
    pub program: PathBuf,
    /// Where the folder for sockets is made if the configuration does not say which.
    pub run_dir: PathBuf,
}

/// A configuration that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct SettingsError {
    pub key: &'static str,
    pub problem: String,
    pub remedy: &'static str,
}

fn error(key: &'static str, problem: impl Into<String>, remedy: &'static str) -> SettingsError {
    SettingsError {
        key,
        problem: problem.into(),
        remedy,
    }
}

impl Settings {
    /// `names`: what each model is called, in order; its replicas call it the same.
    ///
    /// # Errors
    /// [`SettingsError`] names the key, what is wrong with it, and what to do.
    pub fn resolve(
        config: &Config,
        names: &[String],
        around: &Surroundings,
    ) -> Result<Self, SettingsError> {
        check::names(names)?;
        let server = &config.server;
        let dir = match config.fleet.dir.as_str() {
            "" => around.run_dir.join(own_folder(server)),
            dir => PathBuf::from(dir),
        };
        check::dir(&dir)?;
        let services: Vec<_> = config
            .model
            .iter()
            .zip(names)
            .enumerate()
            .map(|(at, (model, name))| {
                service(config, model, name, around, dir.join(at.to_string()))
            })
            .collect::<Result<_, _>>()?;
        route::distinct(&services)?;
        Ok(Settings {
            http: address(&server.host, server.port),
            grpc: address(&server.host, server.grpc_port),
            admin: server.admin.clone(),
            edge: EdgeConfig {
                header_timeout: server.header_timeout.0,
                idle_timeout: server.idle_timeout.0,
                max_connections: server.max_connections,
                ..EdgeConfig::default()
            },
            tls_files: tls_files(&config.auth.tls)?,
            keys: keys("auth.api_keys_file", &config.auth.api_keys_file)?,
            admin_keys: keys("auth.admin_keys_file", &config.auth.admin_keys_file)?,
            rate: rate(config.limits.rate),
            health_is: server.health_is,
            cors_origins: origins(&server.cors_origins)?,
            limits: FrontLimits {
                max_body: usize::try_from(server.max_body.0).unwrap_or(usize::MAX),
                body_timeout: server.body_timeout.0,
                arriving: arriving(&services),
                tunnel_idle: server.idle_timeout.0,
            },
            drain: DrainLimits {
                settle: config.drain.delay.0,
                timeout: config.drain.timeout.0,
            },
            services,
            dir,
        })
    }

    /// What is allowed and will be regretted: each a sentence that says what to do.
    #[must_use]
    pub fn advice(&self) -> Vec<String> {
        let fixed = |service: &ServiceSettings| {
            let url = fixed_address(service.local.config.model.first()?)?;
            Some(format!(
                "model.http.url: {} cannot be rolled out: the next revision would start its server at {url} \
                 too; write {{port}} into model.http.command and leave the address out",
                service.name
            ))
        };
        self.services.iter().filter_map(fixed).collect()
    }
}

/// What holds for one model: the general tables, with its own keys in their place.
fn service(
    config: &Config,
    model: &Model,
    name: &str,
    around: &Surroundings,
    dir: PathBuf,
) -> Result<ServiceSettings, SettingsError> {
    if model.fleet.has("dir") {
        let problem = format!("{name} has a folder of its own");
        let remedy = "give fleet.dir for all models";
        return Err(error("model.fleet.dir", problem, remedy));
    }
    let own = config.of(model);
    check::fleet(&own.fleet)?;
    check::server(model, own.fleet.max)?;
    let schedule = Schedule::read(&own.fleet.busy)
        .map_err(|problem| error("fleet.busy", problem, "correct the hours"))?;
    Ok(ServiceSettings {
        name: name.to_owned(),
        nature: nature(model),
        route: route::checked(&model.route)?,
        request_timeout: own.limits.request_timeout.0,
        rate: rate(own.limits.rate).filter(|_| model.limits.has("rate")),
        hold: HoldPolicy {
            max_count: own.fleet.hold_requests,
            max_bytes: own.fleet.hold_bytes.0,
            longest: own.fleet.hold.0,
        },
        fleet: fleet_settings(&own),
        schedule,
        local: LocalSettings {
            program: around.program.clone(),
            dir,
            config: one_model(config, model, name),
            stop_limit: config.drain.timeout.0 + STOP_SLACK,
        },
    })
}

/// As many bodies as may be held; and where little or nothing is held, still as many as by default: they
/// would take places of replicas.
fn arriving(services: &[ServiceSettings]) -> ArrivalLimits {
    let least = config::Fleet::default();
    let held = |of: fn(&HoldPolicy) -> u64| services.iter().map(move |service| of(&service.hold));
    let requests = held(|hold| hold.max_count as u64).chain([least.hold_requests as u64]);
    let bytes = held(|hold| hold.max_bytes).chain([least.hold_bytes.0]);
    ArrivalLimits {
        requests: requests.max().unwrap_or_default(),
        bytes: bytes.max().unwrap_or_default(),
    }
}

/// Requests a second; none: as many as come.
fn rate(setting: f64) -> Option<f64> {
    (setting > 0.0).then_some(setting)
}

/// The same for a gateway that takes another one's place, which listens where that one did. Where
/// the system chooses a port, nobody could know the next gateway by it.
fn own_folder(server: &config::Server) -> String {
    let chosen = [server.port, server.grpc_port].contains(&0) || server.admin.ends_with(":0");
    let mut hasher = DefaultHasher::new();
    (&server.host, server.port, server.grpc_port, &server.admin).hash(&mut hasher);
    chosen.then(std::process::id).hash(&mut hasher);
    geteuid().as_raw().hash(&mut hasher);
    format!("preheat-{:08x}", hasher.finish() >> 32)
}

/// Where each replica would start its server, if that is one address for all.
pub fn fixed_address(model: &Model) -> Option<&str> {
    let starts = model.engine == EngineKind::Http && !model.http.command.is_empty();
    Some(model.http.url.as_str()).filter(|url| starts && !url.is_empty())
}

/// Why several servers cannot all be started at this address, and what to do.
pub fn one_address(url: &str, several: &str) -> String {
    format!(
        "each replica would start its server at {url}, and {several}: write {{port}} into \
         model.http.command and leave model.http.url out"
    )
}

fn fleet_settings(config: &Config) -> FleetSettings {
    let fleet = &config.fleet;
    FleetSettings {
        scale: ScalePolicy {
            min: fleet.min,
            max: fleet.max,
            to_zero_after: fleet.scale_to_zero.then_some(fleet.linger.0),
            ..ScalePolicy::default()
        },
        spares: match fleet.spares {
            Spares::Auto => PoolSize::Auto,
            Spares::Count(count) => PoolSize::Fixed(count),
        },
        scaling: fleet.scaling,
        concurrency: fleet.concurrency,
        allow_unproven: fleet.allow_unproven,
        slo: Slo::p95(config.slo.p95.0),
        drain_limit: config.drain.timeout.0,
        stop_limit: config.drain.timeout.0 + STOP_SLACK,
        rollout: rollout(&fleet.rollout, config.slo.p95.0),
    }
}

fn rollout(of: &config::Rollout, slo_p95: Duration) -> RolloutPolicy {
    RolloutPolicy {
        prove_within: of.prove_within.0,
        load_for: of.load_for.0,
        attempts: of.attempts,
        watch_for: of.watch_for.0,
        keep_blue: of.keep_for.0,
        max_ratio: of.max_ratio,
        slack: of.slack.0,
        max_errors: of.max_errors,
        ..RolloutPolicy::under(slo_p95)
    }
}

fn nature(model: &Model) -> Nature {
    let own = model.engine != EngineKind::Http;
    Nature {
        own,
        pure: own || model.http.pure,
    }
}

/// A configuration for replicas of one model: what it has for itself stands in the general tables.
pub fn one_model(config: &Config, model: &Model, name: &str) -> Config {
    let mut config = config.of(model);
    let mut model = Model {
        name: name.to_owned(),
        route: Route::default(),
        limits: Overrides::default(),
        slo: Overrides::default(),
        fleet: Overrides::default(),
        ..model.clone()
    };
    // A replica alone keeps its threads each to a CPU. Several that did would wait for one another
    // on the first CPUs while others idle.
    if config.fleet.max > 1 && model.threads == 0 {
        model.threads = (cpu::usable().get() / model.instances.max(1)).max(1);
    }
    config.model = vec![model];
    config.limits.concurrency = config.limits.concurrency.max(config.fleet.concurrency);
    config
}

fn keys(setting: &'static str, path: &str) -> Result<Keys, SettingsError> {
    Keys::read(path).map_err(|e| error(setting, e.to_string(), e.remedy()))
}

fn origins(origins: &[String]) -> Result<Origins, SettingsError> {
    Origins::read(origins).map_err(|e| error("server.cors_origins", e.to_string(), e.remedy()))
}

fn tls_files(tls: &config::Tls) -> Result<Option<TlsFiles>, SettingsError> {
    let client_ca = Some(&tls.client_ca).filter(|path| !path.is_empty());
    let missing = |key| Err(error(key, "is missing", "give both, or neither"));
    match (tls.cert.as_str(), tls.key.as_str()) {
        ("", "") if client_ca.is_some() => missing("auth.tls.cert"),
        ("", "") => Ok(None),
        ("", _) => missing("auth.tls.cert"),
        (_, "") => missing("auth.tls.key"),
        (cert, key) => Ok(Some(TlsFiles {
            cert: cert.into(),
            key: key.into(),
            client_ca: client_ca.map(PathBuf::from),
        })),
    }
}

fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') && !host.starts_with("unix:") {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(config: &Config, names: &[&str]) -> Result<Settings, SettingsError> {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let around = Surroundings {
            program: "/bin/preheat".into(),
            run_dir: "/tmp/preheat-1".into(),
        };
        Settings::resolve(config, &names, &around)
    }

    #[test]
    fn what_cannot_be_names_its_key() {
        let fleet = |change: fn(&mut config::Fleet)| {
            let mut config = Config {
                model: vec![Model::default()],
                ..Config::default()
            };
            change(&mut config.fleet);
            config
        };
        let long = "x".repeat(200);
        let mut far = Config::default();
        far.fleet.dir = format!("/{long}");
        let mut plain = Config::default();
        plain.auth.tls.client_ca = "/ca.pem".into();
        let model = |toml: &str| Config {
            model: vec![toml::from_str(toml).unwrap()],
            ..Config::default()
        };
        for (config, names, key) in [
            (model("[fleet]\nmax = 0"), &["a"][..], "fleet.max"),
            (model("[fleet]\ndir = \"/x\""), &["a"], "model.fleet.dir"),
            (
                model("engine = \"http\"\nhttp = { command = [\"x\"], url = \"http://a:1\" }"),
                &["a"],
                "model.http.url",
            ),
            (plain, &["a"][..], "auth.tls.cert"),
            (fleet(|f| f.max = 0), &["a"], "fleet.max"),
            (fleet(|f| f.concurrency = 0), &["a"], "fleet.concurrency"),
            (fleet(|f| f.min = 7), &["a"], "fleet.min"),
            (fleet(|_| ()), &["a", "a"], "model.name"),
            (far, &["a"], "fleet.dir"),
        ] {
            assert_eq!(resolve(&config, names).unwrap_err().key, key);
        }
    }

    #[test]
    fn each_model_is_a_service_whose_replicas_share_the_machine() {
        let config = Config {
            model: vec![Model::default(), Model::default()],
            ..Config::default()
        };
        let settings = resolve(&config, &["a", "b"]).unwrap();
        assert!(settings.services.iter().all(|service| service.nature.pure));
        let names: Vec<_> = settings.services.iter().map(|s| &s.name).collect();
        assert_eq!(names, ["a", "b"]);
        let local = &settings.services[1].local;
        assert_eq!(local.config.model.len(), 1);
        assert_eq!(local.config.model[0].name, "b");
        assert!(
            local.config.model[0].threads > 0,
            "else each would pin its threads"
        );
    }

    /// A rollout has both revisions there at once.
    #[test]
    fn a_server_with_one_address_is_told_of() {
        let advice = |http: &str| {
            let text = format!("[fleet]\nmax = 1\n[[model]]\nengine = \"http\"\nhttp = {http}");
            let settings = resolve(&toml::from_str(&text).unwrap(), &["a"]).unwrap();
            settings.advice()
        };
        let fixed = advice("{ command = [\"x\"], url = \"http://127.0.0.1:9\" }");
        assert!(fixed[0].contains("a cannot be rolled out"), "{fixed:?}");
        let own = advice("{ command = [\"x\", \"{port}\"] }");
        assert!(own.is_empty(), "{own:?}");
    }

    /// Else those that trickle would take places of replicas.
    #[test]
    fn bodies_are_awaited_where_nothing_is_held() {
        let config: Config =
            toml::from_str("[fleet]\nhold_requests = 1\nhold_bytes = \"0\"\n[[model]]").unwrap();
        let arriving = resolve(&config, &["a"]).unwrap().limits.arriving;
        assert!(arriving.requests >= 1024, "{arriving:?}");
        assert!(arriving.bytes >= 1_000_000, "{arriving:?}");
    }

    #[test]
    fn a_model_has_limits_of_its_own() {
        let config: Config = toml::from_str(
            "[limits]\nrequest_timeout = \"9s\"\nrate = 7\n[fleet]\nmin = 2\n\
             [[model]]\n[[model]]\nroute.prefix = \"/b\"\nslo.p95 = \"1s\"\n\
             limits = { request_timeout = \"60s\", rate = 3 }\nfleet = { max = 3, hold_requests = 5 }",
        )
        .unwrap();
        let settings = resolve(&config, &["a", "b"]).unwrap();
        let [a, b] = &settings.services[..] else {
            panic!("{:?}", settings.services);
        };
        assert_eq!(
            (settings.rate, a.rate, b.rate),
            (Some(7.0), None, Some(3.0))
        );
        assert_eq!(a.request_timeout.as_secs(), 9);
        assert_eq!(b.request_timeout.as_secs(), 60);
        assert_eq!((a.fleet.scale.min, a.fleet.scale.max), (2, 6));
        assert_eq!((b.fleet.scale.min, b.fleet.scale.max), (2, 3));
        assert_eq!((a.hold.max_count, b.hold.max_count), (1024, 5));
        // Its replicas read it in the general tables.
        let replica = &b.local.config;
        assert_eq!(replica.slo.p95.0.as_secs(), 1);
        assert_eq!(replica.limits.request_timeout.0.as_secs(), 60);
        assert_eq!(replica.model[0].limits, Overrides::default());
    }
}
