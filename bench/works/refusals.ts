/** How long it takes to refuse a user who is not there, and a wrong key of one who is: nobody may learn who there is. */
import { connect, type Socket } from 'node:net';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { median } from '../rounds';
import { ResponseReader } from '../response-reader';
import { makeKey, openAuthenticator, signDate, type KeyKind, type Signed, type SigningKey } from '../signing';

const HOST = '127.0.0.1';

/** Names of the same length: the time to read them is none of what is looked for. */
const KNOWN = 'alice';
const UNKNOWN = 'mally';
/** Another one that nobody has: what makes a difference between these two is none of what is looked for either. */
const CONTROL = 'trudy';

/** What the users have. */
const SUBJECTS: Readonly<Record<string, readonly KeyKind[]>> = {
    'RSA-2048': ['RSA-2048'],
    'RSA-4096': ['RSA-4096'],
    '3 keys': ['RSA-2048', 'RSA-2048', 'RSA-2048'],
};

/** So many are made, of a second each, and used again and again. */
const SIGNATURES = 100;

/** Differences that chance makes are looked at so many times; this share of them is smaller than what counts as one. */
const SHUFFLES = 400;
const CONFIDENCE = 0.99;

/** Refuses a request; resolves when it has. */
type Refuse = (signed: Signed) => Promise<void>;

/** In µs, by the names. */
type Samples = Readonly<Record<'known' | 'unknown' | 'control', number[]>>;

async function timeOf(work: () => Promise<void>): Promise<number> {
    const begun = performance.now();
    await work();
    return (performance.now() - begun) * 1000;
}

/** The very same signature, under each of the names. */
type Sendings = readonly { name: keyof Samples; sent: Signed }[];

function makeSendings(key: SigningKey): Sendings[] {
    const first = Date.now() - SIGNATURES * 500;
    return Array.from({ length: SIGNATURES }, (_, n) => {
        const signed = signDate(KNOWN, key, first + n * 1000);
        // Anew from its bytes: a string that was put together of others is slower to read, once.
        const named = (user: string): Signed => ({
            ...signed,
            authorization: Buffer.from(signed.authorization.replace(KNOWN, user)).toString(),
        });
        return [
            { name: 'known', sent: named(KNOWN) },
            { name: 'unknown', sent: named(UNKNOWN) },
            { name: 'control', sent: named(CONTROL) },
        ];
    });
}

/** All names in turn, in an order that is another one each time. */
async function sample(count: number, all: readonly Sendings[], refuse: Refuse): Promise<Samples> {
    const samples: Samples = { known: [], unknown: [], control: [] };
    for (let n = 0; n < count; n++) {
        const shuffled = all[n % all.length]!.map((sending) => ({ sending, at: Math.random() }));
        for (const { sending } of shuffled.sort((a, b) => a.at - b.at)) {
            samples[sending.name].push(await timeOf(() => refuse(sending.sent)));
        }
    }
    return samples;
}

const difference = (a: readonly number[], b: readonly number[]): number => Math.abs(median(a) - median(b));

/** The difference of the medians that there may be by chance: with the two of each turn exchanged or not, at random. */
function chanceDifference(some: readonly number[], others: readonly number[]): number {
    const differences = Array.from({ length: SHUFFLES }, () => {
        const exchanged = some.map(() => Math.random() < 0.5);
        const pick = (a: readonly number[], b: readonly number[]) =>
            exchanged.map((other, n) => (other ? b : a)[n]!);
        return difference(pick(some, others), pick(others, some));
    });
    return differences.sort((a, b) => a - b)[Math.floor(SHUFFLES * CONFIDENCE)] ?? NaN;
}

function measuresOf(where: string, samples: Samples): Measure[] {
    const { known, unknown, control } = samples;
    const [value, floor] = [median(unknown), median(known)];
    const found = difference(unknown, known);
    const noise = Math.max(chanceDifference(unknown, known), difference(unknown, control));
    const unit = units.microsecondsPassed;
    return [
        { work: `refuse an unknown user, ${where}`, value, floor, ratio: value / floor, unit },
        {
            work: `refuse an unknown user, ${where}: difference`,
            value: found,
            floor: noise,
            ratio: found / noise,
            unit,
            target: { of: 'ratio', most: 1 },
        },
    ];
}

/** Sends requests on one kept connection. */
function connectTo(port: number): { socket: Socket; refuse: Refuse } {
    const socket = connect({ host: HOST, port, noDelay: true });
    const reader = new ResponseReader();
    let answered: { resolve: () => void; reject: (err: Error) => void } | undefined;
    socket
        .on('data', (bytes) => {
            if (reader.take(bytes)) {
                if (reader.status === 401) {
                    answered?.resolve();
                } else {
                    answered?.reject(new Error(`A wrong signature was answered with ${reader.status}.`));
                }
            }
        })
        .on('error', (err) => answered?.reject(err))
        .on('close', () => answered?.reject(new Error('The connection was closed.')));
    const refuse: Refuse = ({ date, authorization }) =>
        new Promise((resolve, reject) => {
            answered = { resolve, reject };
            socket.write(
                `GET /ping HTTP/1.1\r\nHost: ${HOST}\r\nDate: ${date}\r\nAuthorization: ${authorization}\r\n\r\n`,
            );
        });
    return { socket, refuse };
}

async function inVerifier(
    users: Record<string, string[]>,
): Promise<{ refuse: Refuse; close: () => Promise<void> }> {
    const authenticator = await openAuthenticator(users);
    const refuse: Refuse = async ({ date, authorization }) => {
        const request = { method: 'GET', url: '/ping', httpVersion: '1.1', headers: { date, authorization } };
        const who = await authenticator.authenticate(request, true).catch(() => undefined);
        if (who) {
            throw new Error('A wrong signature was taken.');
        }
    };
    return { refuse, close: () => authenticator.close() };
}

async function overHttp(
    context: Context,
    users: Record<string, string[]>,
): Promise<{ refuse: Refuse; close: () => Promise<void> }> {
    const dataDir = await context.seeded(context.scale.fewImages);
    const registry = await context.startRegistry(dataDir, {
        config: { authType: 'signature', authKeys: users },
    });
    const { socket, refuse } = connectTo(registry.port);
    return {
        refuse,
        close: async () => {
            socket.destroy();
            await registry.stop();
        },
    };
}

export async function refusals(context: Context): Promise<Measure[]> {
    const { refusals: count } = context.scale;
    const measures: Measure[] = [];
    for (const [subject, kinds] of Object.entries(SUBJECTS)) {
        const [kind = 'RSA-2048'] = kinds;
        const sendings = makeSendings(makeKey(kind));
        const users = { [KNOWN]: kinds.map((own) => makeKey(own).line) };
        for (const [place, { refuse, close }] of [
            ['in the verifier', await inVerifier(users)],
            ['over HTTP', await overHttp(context, users)],
        ] as const) {
            await sample(Math.ceil(count / 4), sendings, refuse);
            measures.push(...measuresOf(`${subject}, ${place}`, await sample(count, sendings, refuse)));
            await close();
        }
    }
    return measures;
}
