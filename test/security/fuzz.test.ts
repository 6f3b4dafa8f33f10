/**
 * Requests made by chance against a running server: none may end the process, be answered with a fault of the server,
 * tell about its insides, or cost memory for good.
 *
 * FUZZ_REQUESTS says how many (`npm run fuzz`: 12,000), FUZZ_SEED which; a failure names the seed and the request.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { ErrorCode } from '../../lib/errors';
import type { Mode } from '../../lib/config/types';
import { OTHER, OWNER, type Client } from '../support/api';
import { CHANNELS } from '../support/channels';
import { Fuzzer, type FuzzRequest } from '../support/fuzz';
import { OpenLdap } from '../support/openldap';
import { sendRaw, type RawAnswer } from '../support/raw-http';
import { assertTableHonest } from '../support/registry';
import { routesOf } from '../support/routes';
import type { TestServer } from '../support/server';
import { credentials, withServer } from '../support/signed';

const REQUESTS = Number(process.env.FUZZ_REQUESTS ?? 1500);
const SEED = Number(process.env.FUZZ_SEED ?? 20_240_131);

const AT_ONCE = 8;
/** The server waits this long for the rest of a request, so that cut-off ones do not hold the test up. */
const limits = { readTimeout: 300, headerTimeout: 500, headerBytes: '64KiB', jsonBytes: '512KiB' };
/** No answer takes longer than that. */
const WITHIN = 10_000;
/** Images that requests are about; new ones take the place of old ones. */
const IMAGES = 60;
const MOST_GROWTH_KIB = 50 * 1024;

const ROOT = resolve(__dirname, '../..');
/** After so many failures the rest is not tried. */
const MOST_FAILURES = 10;

const INSIDES = [ROOT, '.js:', 'node:internal', 'node_modules', 'SQLITE', 'ENOENT', 'EISDIR', 'ENOTDIR'];

/** Errors of other servers, or of services that this one does not have, by the requests that meet them. */
const FOREIGN: Partial<Record<ErrorCode, RegExp>> = {
    RemoteSourceError: /source=/,
    ServiceUnavailableError: /images\S*\/jobs|create-from-vm|import-/,
    StorageUnsupported: /export|change-stor|storage=/,
    NotAvailable: /create-from-vm/,
};

/** Memory of the process in KiB. */
async function residentKib(server: TestServer): Promise<number> {
    const status = await readFile(`/proc/${String(server.child.pid)}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
}

function printable(bytes: Buffer): string {
    const text = JSON.stringify(bytes.toString('latin1', 0, 4000));
    return bytes.length > 4000 ? `${text} … ${bytes.length} bytes` : text;
}

function isForeign({ headers, body }: RawAnswer, { target, method }: FuzzRequest): boolean {
    if (method === 'HEAD' || headers.get('content-type') !== 'application/json') {
        return Object.values(FOREIGN).some((requests) => requests.test(target));
    }
    const { code } = JSON.parse(body.toString()) as { code: ErrorCode };
    return FOREIGN[code]?.test(target) === true;
}

/** What is wrong with an answer. */
function faultsOf(answer: RawAnswer | undefined, request: FuzzRequest, dataDir: string): string[] {
    if (!answer) {
        return request.malformed ? [] : ['the connection was closed without an answer'];
    }
    const { status, headers, body } = answer;
    const faults: string[] = [];
    // It asks for a sample of an error, which may be one of the server's.
    const isSample = request.target.includes('ping') && request.target.includes('error');
    if (status >= 500 && !isSample && !isForeign(answer, request)) {
        faults.push('a fault of the server');
    }
    if (status < 400 || request.method === 'HEAD' || status === 406) {
        return faults;
    }
    const text = body.toString();
    const leaked = [dataDir, ...INSIDES].find(
        (inside) => text.includes(inside) && !request.bytes.includes(inside),
    );
    if (leaked !== undefined) {
        faults.push(`tells about ${leaked}`);
    }
    if (['application/json', 'application/javascript'].includes(headers.get('content-type') ?? '')) {
        const { code, message } = JSON.parse(text) as Record<string, unknown>;
        if (typeof code !== 'string' || typeof message !== 'string' || (message === '' && !isSample)) {
            faults.push('an error without code and message');
        }
    } else if (headers.get('content-type') !== 'text/plain') {
        faults.push(`an error of type ${String(headers.get('content-type'))}`);
    }
    return faults;
}

/** Sends one request; the status of the answer (0 for none) and the uuid of the image that it is about, if any. */
async function tryRequest(
    server: TestServer,
    request: FuzzRequest,
): Promise<{ status: number; uuid?: string }> {
    const answer = await sendRaw(server.url, request.bytes, {
        half: request.malformed,
        bodiless: request.method === 'HEAD',
        within: WITHIN,
    });
    const faults = faultsOf(answer, request, server.dataDir);
    assert.deepEqual(faults, [], answer && `${answer.status} ${printable(answer.body)}`);
    const status = answer?.status ?? 0;
    const isManifest = status === 200 && request.method === 'POST';
    if (!answer || !isManifest || answer.headers.get('content-type') !== 'application/json') {
        return { status };
    }
    return { status, ...(JSON.parse(answer.body.toString()) as { uuid?: string }) };
}

async function fuzz(
    server: TestServer,
    client: Client,
    { fuzzer, count, isPublic }: { fuzzer: Fuzzer; count: number; isPublic: boolean },
): Promise<{ growthKib: number; statuses: Map<number, number> }> {
    const images: string[] = [];
    const renew = async () => {
        const fields = { public: isPublic, acl: [OTHER] };
        images.push((await client.createActive(fields)).uuid, (await client.create(fields)).uuid);
        images.splice(0, images.length - IMAGES);
    };
    for (let made = 0; made < IMAGES / 2; made++) {
        await renew();
    }
    const warm = Math.floor(count / 3);
    let warmKib = NaN;
    let next = 0;
    const failures: string[] = [];
    const statuses = new Map<number, number>();
    const worker = async () => {
        while (next < count && failures.length < MOST_FAILURES) {
            const number = next++;
            if (number === warm) {
                warmKib = await residentKib(server);
            }
            if (number % 50 === 0) {
                assert.equal((await client.get('/ping')).status, 200, 'the server still answers');
                await renew();
            }
            const request = fuzzer.request(number, images);
            try {
                const { status, uuid } = await tryRequest(server, request);
                statuses.set(status, (statuses.get(status) ?? 0) + 1);
                if (uuid !== undefined && !images.includes(uuid)) {
                    images.push(uuid);
                }
            } catch (err) {
                failures.push(
                    `request ${number} of seed ${SEED}: ${(err as Error).message}\n${printable(request.bytes)}`,
                );
            }
        }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    assert.ok(failures.length === 0, failures.join('\n\n'));
    return { growthKib: (await residentKib(server)) - warmKib, statuses };
}

interface FuzzedServer {
    name: string;
    /** Of the requests. */
    share: number;
    mode: Mode;
    config?: { authType?: string; channels?: typeof CHANNELS } & Record<string, unknown>;
    /** It may connect to this machine, so that it can be told to import from itself. */
    loopback?: true;
}

/** Connects to this machine only. */
const LOOPBACK = { deny: ['0.0.0.0/0', '::/0'], allow: ['127.0.0.1', '::1'] };

const SERVERS: readonly FuzzedServer[] = [
    { name: 'an open server', share: 0.3, mode: 'public', config: { authType: 'none' } },
    {
        name: 'a server with signatures and channels, of which the user has one',
        share: 0.15,
        mode: 'public',
        config: {
            channels: CHANNELS,
            auth: { hideUnpublished: true, roles: { alice: { role: 'write', channels: ['dev'] } } },
        },
    },
    {
        name: 'a private server that imports from itself',
        share: 0.2,
        mode: 'private',
        config: { outbound: LOOPBACK },
        loopback: true,
    },
    {
        name: 'an open private server with channels',
        share: 0.1,
        mode: 'private',
        config: { authType: 'none', channels: CHANNELS },
    },
    { name: 'a datacenter', share: 0.15, mode: 'dc', config: { authType: 'none' } },
    {
        name: 'a datacenter with signatures and channels that imports from itself',
        share: 0.1,
        mode: 'dc',
        config: { channels: CHANNELS, outbound: LOOPBACK },
        loopback: true,
    },
];

describe('requests made by chance', function () {
    this.timeout(60_000 + REQUESTS * 100);

    let directory: OpenLdap | undefined;
    after(() => directory?.stop());

    for (const [n, { name, share, mode, config = {}, loopback = false }] of SERVERS.entries()) {
        const count = Math.ceil(REQUESTS * share);
        it(`${count} of them do ${name} no harm`, async function () {
            if (mode === 'dc' && !directory) {
                directory = await OpenLdap.start(this);
                await directory.addAccount(OWNER, 'owner');
            }
            const datacenter = mode === 'dc' && { datacenterName: 'test', ufds: directory?.config };
            const isPublic = mode !== 'private';
            const all = { limits, mode, ...datacenter, ...config };
            const log = await withServer({ config: all }, async (client, server) => {
                const fuzzer = new Fuzzer(SEED + n, {
                    routes: routesOf({ mode, channels: config.channels }),
                    isPublic,
                    ...(config.authType !== 'none' && { credentials }),
                    ...(loopback && { sources: Array.from({ length: 10 }, () => server.url) }),
                });
                const { growthKib, statuses } = await fuzz(server, client, { fuzzer, count, isPublic });
                assert.ok(server.running, 'the process did not end');
                // Chance that reaches nothing proves nothing.
                assert.ok((statuses.get(200) ?? 0) > count / 12, 'enough of them get through');
                assert.ok(statuses.size >= 8, `they fail in many ways: ${[...statuses.keys()].join()}`);
                assert.ok(growthKib < MOST_GROWTH_KIB, `memory grew by ${growthKib} KiB`);
                if (process.env.FUZZ_REQUESTS !== undefined) {
                    const tally = [...statuses].sort(([a], [b]) => a - b).map((pair) => pair.join(' × '));
                    console.log(
                        `        memory grew by ${(growthKib / 1024).toFixed(1)} MiB; answers: ${tally.join(', ')}`,
                    );
                }
                await client.createActive({ public: isPublic });
                return server.log;
            });
            const faults = log.filter(
                ({ msg, level }) => level >= 60 || msg === 'a request failed in a way it should not',
            );
            assert.deepEqual(faults, []);
            assertTableHonest(log);
        });
    }
});
