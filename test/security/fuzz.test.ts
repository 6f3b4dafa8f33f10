/**
 * Requests made by chance against a running server: none may end the process, be answered with a fault of the server,
 * tell about its insides, or cost memory for good.
 *
 * FUZZ_REQUESTS says how many (`npm run fuzz`: 12,000), FUZZ_SEED which; a failure names the seed and the request.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Client } from '../support/api';
import { Fuzzer, type FuzzRequest } from '../support/fuzz';
import { sendRaw, type RawAnswer } from '../support/raw-http';
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

/** Memory of the process in KiB. */
async function residentKib(server: TestServer): Promise<number> {
    const status = await readFile(`/proc/${String(server.child.pid)}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
}

function printable(bytes: Buffer): string {
    const text = JSON.stringify(bytes.toString('latin1', 0, 4000));
    return bytes.length > 4000 ? `${text} … ${bytes.length} bytes` : text;
}

/** Whether the answer is the right one of a server that has neither an object store nor a workflow service. */
function isMissingService({ status }: RawAnswer, { bytes }: FuzzRequest): boolean {
    const [line = ''] = bytes.toString('latin1').split('\r\n', 1);
    return (
        (status === 501 && line.startsWith('POST ') && line.includes('create-from-vm')) ||
        (status === 503 && /^(?:GET|HEAD) \S*images\S*\/jobs[? ]/.test(line))
    );
}

/** What is wrong with an answer. */
function faultsOf(answer: RawAnswer | undefined, request: FuzzRequest, dataDir: string): string[] {
    if (!answer) {
        return request.malformed ? [] : ['the connection was closed without an answer'];
    }
    const { status, headers, body } = answer;
    const faults: string[] = [];
    if (status >= 500 && !request.sample && !isMissingService(answer, request)) {
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
        if (typeof code !== 'string' || typeof message !== 'string' || (message === '' && !request.sample)) {
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
    fuzzer: Fuzzer,
    count: number,
): Promise<{ growthKib: number; statuses: Map<number, number> }> {
    const images: string[] = [];
    const renew = async () => {
        images.push((await client.createActive()).uuid, (await client.create()).uuid);
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

describe('requests made by chance', function () {
    this.timeout(60_000 + REQUESTS * 100);

    const servers = [
        { name: 'an open server', share: 0.75, config: { authType: 'none' }, fuzzer: new Fuzzer(SEED) },
        {
            name: 'a server with signatures and channels',
            share: 0.25,
            config: {
                channels: [
                    { name: 'dev', description: 'all', default: true },
                    { name: 'release', description: 'some' },
                ],
            },
            fuzzer: new Fuzzer(SEED + 1, credentials),
        },
    ];
    for (const { name, share, config, fuzzer } of servers) {
        const count = Math.ceil(REQUESTS * share);
        it(`${count} of them do ${name} no harm`, async () => {
            await withServer({ config: { limits, ...config } }, async (client, server) => {
                const { growthKib, statuses } = await fuzz(server, client, fuzzer, count);
                assert.ok(server.running, 'the process did not end');
                // Chance that reaches nothing proves nothing.
                assert.ok((statuses.get(200) ?? 0) > count / 10, 'enough of them get through');
                assert.ok(statuses.size > 10, 'they fail in many ways');
                const faults = server.log.filter(
                    ({ msg, level }) => level >= 60 || msg === 'a request failed in a way it should not',
                );
                assert.deepEqual(faults, []);
                assert.ok(growthKib < MOST_GROWTH_KIB, `memory grew by ${growthKib} KiB`);
                if (process.env.FUZZ_REQUESTS !== undefined) {
                    const tally = [...statuses].sort(([a], [b]) => a - b).map((pair) => pair.join(' × '));
                    console.log(
                        `        memory grew by ${(growthKib / 1024).toFixed(1)} MiB; answers: ${tally.join(', ')}`,
                    );
                }
                await client.createActive();
            });
        });
    }
});
