//! The servers to compare.

use testkit::Outcome;
use testkit::stage::Stage;
use testkit::target::{Door, Target};

/// A server and its settings.
#[derive(Debug, Clone)]
pub struct Side {
    /// As the table names it.
    pub name: &'static str,
    /// The program.
    pub target: Target,
    /// Lines of `[global]`.
    pub global: &'static str,
}

impl Side {
    /// php-fpm first, then ours with each setting of `process.base` that the program knows.
    pub fn all(ours: &Target) -> Outcome<Vec<Self>> {
        let stock = Target { prefix: ours.prefix.clone(), door: Door::PhpFpm };
        let mut sides = vec![Self { name: "php-fpm", target: stock, global: "" }];
        let with = |name, global| Self { name, target: ours.clone(), global };
        if knows_base(ours)? {
            sides.push(with("ours", "process.base = auto\n"));
            sides.push(with("ours, process.base = no", "process.base = no\n"));
        } else {
            sides.push(with("ours", ""));
        }
        Ok(sides)
    }
}

fn knows_base(ours: &Target) -> Outcome<bool> {
    let stage = Stage::new(ours.clone(), 1)?;
    stage.sandbox.put("fpm.conf", &stage.conf.replace("[global]", "[global]\nprocess.base = no"))?;
    Ok(stage.run(&["-t"])?.status == Some(0))
}
