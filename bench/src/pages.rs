//! The pages that both servers serve: one directory for both, so that their requests are equal to the byte.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use testkit::Outcome;
use testkit::sandbox::Sandbox;

/// Classes of the application.
const CLASSES: usize = 200;
/// The age of the pages. opcache does not cache a file that was written in the last two seconds.
const AGE: Duration = Duration::from_secs(3600);

/// Says how many fields and arrays of a form arrived, and how long the last one is: little work, so that the reader's share of
/// the time is large.
const FIELDS: &str = "<?php $last = end($_POST);
echo count($_POST, COUNT_RECURSIVE), ' ', is_array($last) ? count($last) : strlen($last);
";

/// Says how large the uploaded file is.
const UPLOADED: &str = "<?php echo $_FILES['file']['error'], ' ', $_FILES['file']['size'];\n";

/// Loads each class, makes an object and calls its methods.
const APPLICATION: &str = "<?php
spl_autoload_register(function (string $class) { require __DIR__ . '/classes/' . substr($class, 4) . '.php'; });
$sum = 0;
for ($n = 0; $n < 200; $n++) {
    $class = sprintf('App\\\\Part%03d', $n);
    $part = new $class($n);
    $sum += $part->fill(3)->sum() + strlen($part->text());
}
echo $sum;
";

/// Some work that waits, so that all workers of a pool are busy at the same time.
const BUSY: &str = "<?php usleep(3000); require __DIR__ . '/application.php';\n";

/// Makes the directory.
///
/// # Errors
/// If it can't be written.
pub(crate) fn make() -> Outcome<Sandbox> {
    let pages = Sandbox::new()?;
    let www = pages.file("www");
    for (name, text) in [("fields", FIELDS), ("uploaded", UPLOADED), ("application", APPLICATION), ("busy", BUSY)] {
        fs::write(www.join(format!("{name}.php")), text)?;
    }
    let classes = www.join("classes");
    fs::create_dir(&classes)?;
    for number in 0..CLASSES {
        fs::write(classes.join(format!("Part{number:03}.php")), class(number))?;
    }
    for dir in [www, classes] {
        make_old(&dir)?;
    }
    Ok(pages)
}

fn make_old(dir: &Path) -> Outcome {
    let then = SystemTime::now() - AGE;
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            File::options().append(true).open(path)?.set_modified(then)?;
        }
    }
    Ok(())
}

fn class(number: usize) -> String {
    format!(
        "<?php
namespace App;

class Part{number:03}
{{
    public const NAME = 'part{number:03}';
    private array $items = [];

    public function __construct(private int $number, private string $name = self::NAME)
    {{
    }}

    public function fill(int $count): static
    {{
        for ($i = 0; $i < $count; $i++) {{
            $this->items[\"item $i\"] = $this->name . '-' . $i;
        }}
        return $this;
    }}

    public function text(): string
    {{
        return strtoupper(implode(', ', $this->items));
    }}

    public function sum(): int
    {{
        return array_sum(array_map('strlen', $this->items)) + $this->number;
    }}
}}
"
    )
}
