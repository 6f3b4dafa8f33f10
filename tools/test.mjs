// npm test: installs and builds what is missing, then runs the tests, all of them in several processes. Arguments go to
// mocha; files among them are run instead of all, in one process, and may be named by their source:
// npm test -- test/unit/version.test.ts --grep range
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { PrepareError, prepare, repository } from './prepare.mjs';
import { runInLanes, testFiles } from './test-lanes.mjs';

/** Options of .mocharc.json as arguments: mocha would add the files of it to those that are given. */
function mochaOptions(rc) {
    const options = Object.entries(rc).filter(([name]) => name !== 'spec');
    const flags = options.flatMap(([name, value]) =>
        [value].flat().flatMap((one) => (one === true ? [`--${name}`] : [`--${name}`, String(one)])),
    );
    return ['--no-config', '--no-package', ...flags];
}

function runOnce(args) {
    const child = spawn(process.execPath, args, { cwd: repository, stdio: ['ignore', 'inherit', 'inherit'] });
    for (const signal of ['SIGINT', 'SIGTERM']) {
        process.on(signal, () => child.kill(signal));
    }
    return new Promise((resolve) => {
        child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
    });
}

async function main() {
    prepare({ dev: true });
    const rc = JSON.parse(readFileSync(join(repository, '.mocharc.json'), 'utf8'));
    const given = process.argv.slice(2).map((arg) => arg.replace(/\.test\.ts$/, '.test.js'));
    const mocha = [
        join(repository, 'node_modules', 'mocha', 'bin', 'mocha.js'),
        ...mochaOptions(rc),
        ...given,
    ];
    process.exitCode = given.some((arg) => arg.endsWith('.test.js'))
        ? await runOnce(mocha)
        : await runInLanes(mocha, testFiles(repository, rc.spec), repository);
}

try {
    await main();
} catch (error) {
    if (!(error instanceof PrepareError)) {
        throw error;
    }
    console.error(error.message);
    process.exitCode = 1;
}
