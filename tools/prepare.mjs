// Makes a clone ready to run: the packages installed, the TypeScript built, the output of removed sources cleared away.
// Does nothing where nothing is to be done.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const repository = dirname(dirname(fileURLToPath(import.meta.url)));

/** A reason to stop that is told to the user as it stands, without a stack. */
export class PrepareError extends Error {}

const PRODUCT = ['main.ts', 'lib', 'bin'];
const DEVELOPMENT = ['test', 'bench', 'tools'];

const BUILT = 'built';

/** Throws if this Node.js is older than package.json asks for. */
export function checkNode(root, version = process.versions.node) {
    const { engines } = readJson(join(root, 'package.json'));
    const wanted = /\d+(?:\.\d+)*/.exec(engines.node)[0];
    const [major, minor] = version.split('.').map(Number);
    const [wantedMajor, wantedMinor = 0] = wanted.split('.').map(Number);
    if (major < wantedMajor || (major === wantedMajor && minor < wantedMinor)) {
        throw new PrepareError(`Node.js ${wanted} or newer is needed; this is ${version}.`);
    }
}

/**
 * Installs and builds what is missing or out of date under `root`.
 *
 * With `dev` the tests, benchmarks and tools count as well as the product. Throws PrepareError.
 */
export function prepare({ dev = false, root = repository } = {}) {
    checkNode(root);
    if (needsInstall(root)) {
        runNpm(root, ['ci', '--include=dev'], 'Installing packages');
        writeFileSync(installStamp(root), lockHash(root));
    }
    removeOrphans(root);
    const reason = buildReason(root, dev);
    if (reason) {
        if (reason === 'missing') {
            // tsc believes this record of its former output and would not write the missing files again.
            rmSync(join(root, '.tsbuildinfo'), { force: true });
        }
        // tsc writes output even of what it rejects, so a build counts only once it has ended well.
        writeFileSync(buildStamp(root), '');
        runNpm(root, ['run', '--silent', 'build'], 'Building');
        writeFileSync(buildStamp(root), BUILT);
    }
}

/**
 * Removes what tsc once made of files that are gone, for example after a pull: it would be found and run as before, a
 * test above all. That is what git ignores, has no source beside it, and begins as tsc begins its output.
 */
export function removeOrphans(root) {
    if (!existsSync(join(root, '.git'))) {
        return;
    }
    const folders = [...PRODUCT, ...DEVELOPMENT];
    const { stdout, status } = spawnSync(
        'git',
        ['ls-files', '-z', '--others', '--ignored', '--exclude-standard', '--', ...folders],
        { cwd: root, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
    );
    // Without git there was no pull either.
    const ignored = status === 0 ? stdout.split('\0') : [];
    for (const file of ignored.filter((name) => name.endsWith('.js')).map((name) => join(root, name))) {
        const hasSource = existsSync(file.replace(/\.js$/, '.ts'));
        if (!hasSource && readFileSync(file, 'utf8').startsWith('"use strict";')) {
            rmSync(file);
            console.log(`Removed ${file}, whose source is gone.`);
        }
    }
}

const installStamp = (root) => join(root, 'node_modules', '.imgapi-install');
const buildStamp = (root) => join(root, 'node_modules', '.imgapi-build');
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));
const modified = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs;

function lockHash(root) {
    return createHash('sha256')
        .update(readFileSync(join(root, 'package-lock.json')))
        .digest('hex');
}

/** Whether node_modules is missing or was made from another package-lock.json. */
export function needsInstall(root) {
    if (!existsSync(join(root, 'node_modules'))) {
        return true;
    }
    const stamp = installStamp(root);
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lockHash(root)) {
        return false;
    }
    if (!installedByHand(root)) {
        return true;
    }
    writeFileSync(stamp, lockHash(root));
    return false;
}

/** Whether somebody ran npm without us: npm's own record of node_modules has every package of the lock file. */
function installedByHand(root) {
    const record = join(root, 'node_modules', '.package-lock.json');
    if (!existsSync(record)) {
        return false;
    }
    const installed = readJson(record).packages;
    return Object.entries(readJson(join(root, 'package-lock.json')).packages)
        .filter(([path, { optional }]) => path !== '' && !optional)
        .every(([path, { version }]) => installed[path]?.version === version);
}

/** Why a build is needed: output is `missing` or `stale`; undefined if it is neither. */
export function buildReason(root, dev = false) {
    const built = modified(buildStamp(root)) ?? 0;
    const sources = [...PRODUCT, ...(dev ? DEVELOPMENT : [])].flatMap((name) =>
        typescriptIn(join(root, name)),
    );
    const outputs = sources.map((source) => ({
        source,
        written: modified(source.replace(/\.ts$/, '.js')),
    }));
    if (outputs.some(({ written }) => written === undefined)) {
        return 'missing';
    }
    // tsc leaves files alone whose output does not change, so the last build counts as well as the file's own time.
    const stale =
        unfinished(root) ||
        outputs.some(({ source, written }) => modified(source) > Math.max(written, built)) ||
        outputs.some(({ written }) => modified(join(root, 'tsconfig.json')) > Math.max(written, built));
    return stale ? 'stale' : undefined;
}

function unfinished(root) {
    const stamp = buildStamp(root);
    return existsSync(stamp) && readFileSync(stamp, 'utf8') !== BUILT;
}

function typescriptIn(path) {
    const stats = statSync(path, { throwIfNoEntry: false });
    if (!stats) {
        return [];
    }
    if (stats.isDirectory()) {
        return readdirSync(path).flatMap((name) => typescriptIn(join(path, name)));
    }
    return path.endsWith('.ts') && !path.endsWith('.d.ts') ? [path] : [];
}

function runNpm(root, args, what) {
    console.log(`${what} (npm ${args.join(' ')}) …`);
    // Under npm start, use the very npm that was called.
    const npm = process.env.npm_execpath;
    const [command, ...before] = npm?.endsWith('.js') ? [process.execPath, npm] : ['npm'];
    const { status, error } = spawnSync(command, [...before, ...args], { cwd: root, stdio: 'inherit' });
    if (error?.code === 'ENOENT') {
        throw new PrepareError(`npm was not found, but is needed to run "npm ${args.join(' ')}".`);
    }
    if (status !== 0) {
        throw new PrepareError(`"npm ${args.join(' ')}" failed; what it said is above.`);
    }
}
