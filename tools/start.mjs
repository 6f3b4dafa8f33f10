// npm start: from a clean clone to a running server on this machine, with everything it writes under ./data.
import { spawn } from 'node:child_process';
import {
    existsSync,
    mkdirSync,
    openSync,
    readFileSync,
    realpathSync,
    statSync,
    writeFileSync,
} from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { constants as osConstants } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { PrepareError, prepare, repository } from './prepare.mjs';

/** ms between looks at a server that is starting. */
const POLL = 50;
/** ms a server may take to answer. */
const PATIENCE = 30_000;
/** ms within which the same signal again is the same key press: npm passes on what the terminal has sent as well. */
const SAME_PRESS = 300;

const LOG_ERROR = 50;

/** The owner of images that belong to nobody in particular. */
const OWNER = '00000000-0000-0000-0000-000000000000';

/** Writes the config of the demonstration server unless there is one. Gives its path. */
export function ensureConfig(root) {
    const data = join(root, 'data');
    const file = join(data, 'etc', 'imgapi.config.json');
    if (!existsSync(file)) {
        mkdirSync(join(data, 'etc'), { recursive: true });
        const config = {
            dataDir: data,
            address: '127.0.0.1',
            port: 8080,
            authType: 'none',
            logLevel: 'info',
        };
        writeFileSync(file, `${JSON.stringify(config, null, 2)}\n`, { flag: 'wx' });
    }
    return file;
}

/** Where the server will listen: the environment before the file. Port 0 becomes a free port, so that it is known. */
export async function chooseEndpoint(file, env) {
    const config = readConfig(file);
    const address = env.IMGAPI_HOST || env.HOST || config.address || '127.0.0.1';
    const given = env.IMGAPI_PORT || env.PORT || (config.port ?? 8080);
    const port = Number(given);
    if (!Number.isInteger(port) || port < 0 || port > 65_535) {
        throw new PrepareError(`The port is "${given}"; it must be a whole number from 0 to 65535.`);
    }
    return { address, port: port === 0 ? await freePort(address) : port };
}

function readConfig(file) {
    try {
        return JSON.parse(readFileSync(file, 'utf8'));
    } catch (error) {
        throw new PrepareError(`The config ${file} cannot be read: ${error.message}`);
    }
}

/** The address to reach a listener at: one that listens everywhere is asked on this machine. */
function reachable(address) {
    return address === '0.0.0.0' ? '127.0.0.1' : address === '::' ? '::1' : address;
}

export function urlOf({ address, port }) {
    const host = reachable(address);
    return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function freePort(address) {
    return new Promise((resolve, reject) => {
        const probe = createServer().once('error', reject);
        probe.listen(0, address, () => {
            const { port } = probe.address();
            probe.close(() => resolve(port));
        });
    });
}

function somebodyListens({ address, port }) {
    return new Promise((resolve) => {
        const socket = createConnection({ host: reachable(address), port });
        const answer = (value) => () => {
            socket.destroy();
            resolve(value);
        };
        socket.once('connect', answer(true)).once('error', answer(false));
    });
}

/** The last error in the lines of a log, as one readable sentence. */
export function lastError(log) {
    const lines = log.split('\n').filter((line) => line.trim() !== '');
    const records = lines.map(parseRecord);
    const record = records.findLast((candidate) => candidate?.level >= LOG_ERROR);
    if (record) {
        const reason = record.err?.message;
        return reason && !record.msg.includes(reason) ? `${record.msg}: ${reason}` : record.msg;
    }
    const plain = lines.filter((_, index) => !records[index]);
    return (plain.findLast((line) => /^(\w*Error\b|[a-z ]+:)/.test(line)) ?? plain.at(-1))?.trim();
}

function parseRecord(line) {
    try {
        const value = JSON.parse(line);
        return typeof value?.level === 'number' ? value : undefined;
    } catch {
        // Not a log record: what Node.js itself wrote to stderr.
        return undefined;
    }
}

function invitation(url, { file, log }) {
    return `
imgapi is running at ${url}

  config  ${file}
  log     ${log}

Try:

  curl ${url}/ping
  curl ${url}/images
  curl ${url}/images -H 'Content-Type: application/json' \\
      -d '{"name":"hello","version":"1.0.0","type":"other","os":"other","public":true,"owner":"${OWNER}"}'
  curl -T FILE '${url}/images/UUID/file?compression=none'
  curl -X POST '${url}/images/UUID?action=activate'

Its documentation, with every endpoint: ${url}/docs/

Ctrl-C stops it.
`;
}

async function answers(url) {
    try {
        const response = await fetch(`${url}/ping`);
        await response.arrayBuffer();
        return response.ok;
    } catch {
        // Not listening yet.
        return false;
    }
}

/** Passes signals on to the server. A closed terminal ends it: to the server itself SIGHUP means something else. */
function forwardSignals(child) {
    for (const [signal, passedOn] of [
        ['SIGINT', 'SIGINT'],
        ['SIGTERM', 'SIGTERM'],
        ['SIGHUP', 'SIGTERM'],
    ]) {
        let last = -Infinity;
        process.on(signal, () => {
            const now = performance.now();
            if (now - last > SAME_PRESS) {
                child.kill(passedOn);
            }
            last = now;
        });
    }
}

/** Starts the server and stays with it; gives the exit code. Throws PrepareError. */
export async function start({ root = repository, env = process.env } = {}) {
    prepare({ root });
    const file = ensureConfig(root);
    const endpoint = await chooseEndpoint(file, env);
    const url = urlOf(endpoint);
    if (await somebodyListens(endpoint)) {
        throw new PrepareError(
            `Port ${endpoint.port} on ${endpoint.address} is in use: stop what runs there, or choose another port, ` +
                `for example PORT=${endpoint.port + 1} npm start.`,
        );
    }

    const log = join(root, 'data', 'imgapi.log');
    const logStart = statSync(log, { throwIfNoEntry: false })?.size ?? 0;
    const output = openSync(log, 'a');
    const child = spawn(process.execPath, ['main.js', '-f', file], {
        cwd: root,
        stdio: ['ignore', output, output],
        env: { ...env, IMGAPI_HOST: endpoint.address, IMGAPI_PORT: String(endpoint.port) },
        // A group of its own, so that Ctrl-C reaches it once, through us.
        detached: true,
    });
    let ended = false;
    const exit = new Promise((resolve) => {
        child.once('exit', (code, signal) => {
            ended = true;
            resolve(code ?? 128 + osConstants.signals[signal]);
        });
    });
    forwardSignals(child);

    const deadline = performance.now() + PATIENCE;
    while (!ended && !(await answers(url))) {
        if (performance.now() > deadline) {
            child.kill('SIGTERM');
            await exit;
            throw new PrepareError(`The server did not answer at ${url} within 30 s; its log is ${log}.`);
        }
        await Promise.race([sleep(POLL), exit]);
    }
    if (!ended) {
        console.log(invitation(url, { file, log }));
        return exit;
    }
    const code = await exit;
    const said = lastError(readFileSync(log).subarray(logStart).toString());
    console.error(
        `The server stopped while starting (exit code ${code}): ${said ?? 'it said nothing'}\nLog: ${log}`,
    );
    return code;
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
    try {
        process.exitCode = await start();
    } catch (error) {
        if (!(error instanceof PrepareError)) {
            throw error;
        }
        console.error(error.message);
        process.exitCode = 1;
    }
}
