/** Faults by chance, on the way to an object store: which request gets which. */
import type { ObjectStore } from './backends';
import type { Fault, FaultProxy, Injected, SeenRequest } from './fault-proxy';

/** Of how many requests in turn the last ones are met by many faults, as when a server is going down. */
const CYCLE = 100;
const OUTAGE = 12;
const SHARE_IN_OUTAGE = 0.8;
const SHARE = 0.2;
/** Of the requests that end an upload in parts, which are few. */
const SHARE_OF_COMPLETES = 0.5;

/** How late a slow answer is at most, in ms. */
const SLOW = 300;

/** Least bytes of a file in the campaign, and of an icon. */
const LEAST_FILE = 64 * 1024;
const LEAST_ICON = 16;
/** Least bytes of any answer that has some. */
const LEAST_ANSWER = 32;

const IMAGE = /\/images\/[^/]+\/([0-9a-f-]{36})\//;

/** What the errors of each store look like. */
const ERRORS: Record<ObjectStore, Record<500 | 503, Fault>> = {
    manta: { 500: mantaError(500, 'InternalError'), 503: mantaError(503, 'ServiceUnavailableError') },
    s3: { 500: s3Error(500, 'InternalError'), 503: s3Error(503, 'SlowDown') },
};

function mantaError(status: number, code: string): Fault {
    const headers = { 'content-type': 'application/json' };
    return { kind: 'answer', status, headers, body: JSON.stringify({ code, message: 'by chance' }) };
}

function s3Error(status: number, code: string): Fault {
    const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>by chance</Message></Error>`;
    return { kind: 'answer', status, headers: { 'content-type': 'application/xml' }, body };
}

/** What a request is, as far as faults care. */
interface Nature {
    /** It brings the bytes of an object. */
    readonly stores: boolean;
    /** Its answer brings them. */
    readonly reads: boolean;
    readonly lists: boolean;
    /** It ends an upload in parts. */
    readonly completes: boolean;
}

function natureOf({ method, path, headers }: SeenRequest): Nature {
    const type = headers['content-type'] ?? '';
    const lists = method === 'GET' && /[?&](?:limit|list-type|uploads)\b/.test(path);
    return {
        stores: method === 'PUT' && !type.includes('type=directory'),
        reads: method === 'GET' && !lists,
        lists,
        completes: method === 'POST' && path.includes('uploadId='),
    };
}

export class ChanceFaults {
    /** How many there were of each kind. */
    readonly tally = new Map<string, number>();
    readonly #proxy: FaultProxy;
    readonly #store: ObjectStore;
    readonly #random: () => number;
    /** Of each image, in how many answers a byte of an object was changed. */
    readonly #corrupted = new Map<string, number>();
    #injected: Injected | undefined;
    #requests = 0;

    /** @param random gives numbers in [0, 1) */
    constructor(proxy: FaultProxy, store: ObjectStore, random: () => number) {
        this.#proxy = proxy;
        this.#store = store;
        this.#random = random;
    }

    start(): void {
        this.#injected = this.#proxy.inject({
            on: (request) => this.#isMet(request),
            fault: (request) => this.#faultFor(request),
            times: Infinity,
        });
    }

    stop(): void {
        this.#injected?.end();
    }

    /** How many requests were met. */
    get count(): number {
        return this.#injected?.hits ?? 0;
    }

    /** How often the store, as it seemed, sent wrong bytes of an object of this image. */
    corruptions(uuid: string): number {
        return this.#corrupted.get(uuid) ?? 0;
    }

    #isMet(request: SeenRequest): boolean {
        const isOutage = this.#requests++ % CYCLE >= CYCLE - OUTAGE;
        const calm = natureOf(request).completes ? SHARE_OF_COMPLETES : SHARE;
        return this.#random() < (isOutage ? SHARE_IN_OUTAGE : calm);
    }

    #below(limit: number): number {
        return Math.floor(this.#random() * limit);
    }

    #faultFor(request: SeenRequest): Fault {
        const candidates = this.#candidates(request);
        const fault = candidates[this.#below(candidates.length)]!;
        const kind = fault.kind === 'answer' ? `answer ${fault.status}` : fault.kind;
        this.tally.set(kind, (this.tally.get(kind) ?? 0) + 1);
        const [, image] = IMAGE.exec(request.path) ?? [];
        if (fault.kind === 'corrupt-answer' && image !== undefined) {
            this.#corrupted.set(image, this.corruptions(image) + 1);
        }
        return fault;
    }

    /** Each as often as it is to come, about. */
    #candidates(request: SeenRequest): Fault[] {
        const { stores, reads, lists, completes } = natureOf(request);
        const errors = ERRORS[this.#store];
        const slow: Fault = { kind: 'slow', delay: this.#below(SLOW) };
        const lost: Fault = { kind: 'lost-answer' };
        const always: Fault[] = [{ kind: 'reset' }, errors[500], errors[503], slow, lost];
        if (this.#random() < 0.3) {
            // The driver waits for it.
            always.push({ kind: 'stall' });
        }
        if (completes) {
            // S3 may find out that it failed after it began to answer.
            return [...always, lost, lost, { ...s3Error(200, 'InternalError') }];
        }
        if (stores) {
            const size = Number(request.headers['content-length'] ?? leastSize(request.path));
            return [
                ...always,
                lost,
                { kind: 'cut-upload', after: this.#below(size) },
                { kind: 'corrupt-upload', at: this.#below(size) },
            ];
        }
        if (reads || lists) {
            const size = reads ? leastSize(request.path) : LEAST_ANSWER;
            const after = this.#below(size);
            return [
                ...always,
                { kind: 'cut-answer', after, by: 'reset' },
                { kind: 'cut-answer', after, by: 'end' },
                { kind: 'corrupt-answer', at: after },
                ...(lists ? [slow, slow] : []),
                ...(this.#random() < 0.3 ? [{ kind: 'stall-answer', after } as const] : []),
            ];
        }
        return request.method === 'DELETE' ? [...always, lost] : always;
    }
}

function leastSize(path: string): number {
    return path.includes('/file0') ? LEAST_FILE : LEAST_ICON;
}
