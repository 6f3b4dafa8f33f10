// npm test: installs and builds what is missing, then runs the tests. Arguments go to mocha; files among them replace
// the whole suite, and may be named by their source: npm test -- test/unit/version.test.ts --grep range
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { PrepareError, prepare, repository } from './prepare.mjs';

/** The arguments for mocha. */
function mochaArguments(rc, given) {
    const { spec, ...options } = rc;
    // mocha would add the files that are given to those of its config file, so that file is not used.
    const flags = Object.entries(options).flatMap(([name, value]) =>
        [value].flat().flatMap((one) => (one === true ? [`--${name}`] : [`--${name}`, String(one)])),
    );
    const own = given.map((arg) => arg.replace(/\.test\.ts$/, '.test.js'));
    const namesFiles = own.some((arg) => arg.endsWith('.test.js'));
    return ['--no-config', '--no-package', ...flags, ...own, ...(namesFiles ? [] : spec)];
}

function main() {
    prepare({ dev: true });
    const rc = JSON.parse(readFileSync(join(repository, '.mocharc.json'), 'utf8'));
    const mocha = join(repository, 'node_modules', 'mocha', 'bin', 'mocha.js');
    const child = spawn(process.execPath, [mocha, ...mochaArguments(rc, process.argv.slice(2))], {
        cwd: repository,
        stdio: ['ignore', 'inherit', 'inherit'],
    });
    for (const signal of ['SIGINT', 'SIGTERM']) {
        process.on(signal, () => child.kill(signal));
    }
    child.once('exit', (code, signal) => {
        process.exitCode = code ?? 128 + constants.signals[signal];
    });
}

try {
    main();
} catch (error) {
    if (!(error instanceof PrepareError)) {
        throw error;
    }
    console.error(error.message);
    process.exitCode = 1;
}
