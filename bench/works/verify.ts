/** The verifier of signatures by itself, beside the bare operation of the crypto library. */
import { verify } from 'node:crypto';
import type { SignedRequest } from '../../lib/auth/driver';
import type { Context } from '../context';
import { units, type Measure } from '../measure';
import { measureInTurn, median, medianRatio, type Values } from '../rounds';
import type { Scale } from '../scale';
import { keyKinds, makeKey, openAuthenticator, signDate, type KeyKind, type Signed } from '../signing';

/** For RSA-2048, which nearly all users have. */
const LEAST = 10_000;
/** The verifier may cost 1.6 times what the library does. */
const LEAST_RATIO = 1 / 1.6;

const USER = 'bench';

/** How often a subject is run between two looks at the clock. */
const BATCH = 10;

/** How often per second of processor time `once` can be done, by this process. */
async function rate(seconds: number, once: (n: number) => Promise<void> | void): Promise<number> {
    const begun = process.cpuUsage();
    for (let n = 0; ;) {
        for (const end = n + BATCH; n < end; n++) {
            await once(n);
        }
        const { user, system } = process.cpuUsage(begun);
        const used = (user + system) / 1e6;
        if (used >= seconds) {
            return n / used;
        }
    }
}

function requestOf({ date, authorization }: Signed): SignedRequest {
    const headers = { host: '127.0.0.1:8080', accept: 'application/json', date, authorization };
    return { method: 'GET', url: '/images', httpVersion: '1.1', headers };
}

async function ratesOf(kind: KeyKind, scale: Scale): Promise<readonly [Values, Values]> {
    const { rounds, signatures, verifySeconds } = scale;
    const key = makeKey(kind);
    // No two are the same: one for each second that the server would take it in.
    const first = Date.now() - (signatures / 2) * 1000;
    const signed = Array.from({ length: signatures }, (_, n) => signDate(USER, key, first + n * 1000));
    const requests = signed.map(requestOf);
    const authenticator = await openAuthenticator({ [USER]: [key.line] });
    const subjects = [
        () =>
            rate(verifySeconds, async (n) => {
                await authenticator.authenticate(requests[n % signatures]!, true);
            }),
        () =>
            rate(verifySeconds, (n) => {
                const { text, signature } = signed[n % signatures]!;
                if (!verify(key.digest, text, key.publicKey, signature)) {
                    throw new Error('A signature is not verified by its own key.');
                }
            }),
    ] as const;
    await measureInTurn(1, subjects);
    const values = await measureInTurn(rounds, subjects);
    await authenticator.close();
    return values;
}

export async function verifySignatures({ scale }: Context): Promise<Measure[]> {
    const measures: Measure[] = [];
    for (const kind of keyKinds) {
        const [values, floors] = await ratesOf(kind, scale);
        const measure = {
            value: median(values),
            floor: median(floors),
            ratio: medianRatio(values, floors),
            unit: units.perSecond,
        };
        if (kind === 'RSA-2048') {
            const target = { of: 'value', least: LEAST } as const;
            measures.push({ work: `verify a signature, ${kind}: number`, ...measure, target });
        }
        const target = { of: 'ratio', least: LEAST_RATIO } as const;
        measures.push({ work: `verify a signature, ${kind}`, ...measure, target });
    }
    return measures;
}
