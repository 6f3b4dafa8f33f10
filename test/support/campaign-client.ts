/** A client that does things by chance with images of its own, and knows what has to have become of them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import http from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { ErrorCode } from '../../lib/errors';
import type { StorageType } from '../../lib/manifest';
import { at, ICON, MANIFEST, md5, sha1, type Answer, type Client, type RequestContent } from './api';
import type { ObjectStore } from './backends';
import type { CampaignServer } from './campaign-server';
import type { ChanceFaults } from './chance-faults';
import { credentials } from './signed';

const KIB = 1024;
const MIB = 1024 * KIB;

/** Images that a client has at a time. */
const MOST_IMAGES = 3;
/** How long a client that goes away waits before, at most, in ms. */
const PATIENCE = 60;

/** Every file is a part of these, so that they cost nothing to make. */
const BYTES = randomBytes(16 * MIB);

/** What every request may be answered with that needs an object store. */
const UNAVAILABLE: readonly ErrorCode[] = ['StorageIsDown', 'ServiceUnavailableError'];

/** An image, and what may have become of it. */
export class KnownImage {
    /** SHA-1 of what may be its file and its icon; undefined among them for none. */
    files = new Map<string | undefined, Buffer | undefined>([[undefined, undefined]]);
    icons = new Set<string | undefined>([undefined]);
    exists: 'yes' | 'no' | 'perhaps' = 'yes';
    constructor(readonly uuid: string) {}

    /** Nobody knows whether the last thing that was asked was done, or may still be. */
    get unclear(): boolean {
        return this.files.size > 1 || this.icons.size > 1 || this.exists === 'perhaps';
    }

    get file(): Buffer | undefined {
        return [...this.files.values()][0];
    }

    get icon(): string | undefined {
        return [...this.icons][0];
    }

    fileIs(bytes: Buffer): void {
        this.files = new Map([[sha1(bytes), bytes]]);
    }
}

export interface CampaignClientOptions {
    readonly server: CampaignServer;
    readonly store: ObjectStore;
    readonly faults: ChanceFaults;
    /** Gives numbers in [0, 1). */
    readonly random: () => number;
}

export class CampaignClient {
    /** All that it ever created. */
    readonly images: KnownImage[] = [];
    /** How many it may have created without being told. */
    unknown = 0;
    /** What it did, and how often that was answered with success, with an error, and not at all. */
    readonly tally = new Map<string, [done: number, refused: number, unanswered: number]>();
    readonly #options: CampaignClientOptions;
    readonly #actions: readonly (readonly [weight: number, act: (image: KnownImage) => Promise<void>])[] = [
        [6, (image) => this.#upload(image)],
        [1, (image) => this.#uploadOther(image)],
        [1, (image) => this.#leaveUpload(image)],
        [4, (image) => this.#download(image)],
        [2, (image) => this.#downloadPart(image)],
        [1, (image) => this.#leaveDownload(image)],
        [5, (image) => this.#move(image)],
        [1, (image) => this.#leaveMove(image)],
        [2, (image) => this.#putIcon(image)],
        [1, (image) => this.#getIcon(image)],
        [3, (image) => this.#deleteIcon(image)],
        [1, (image) => this.#delete(image)],
    ];

    constructor(options: CampaignClientOptions) {
        this.#options = options;
    }

    /** Does one thing. @throws AssertionError if it is not answered as it may be */
    async act(): Promise<void> {
        const live = this.images.filter(({ unclear, exists }) => !unclear && exists === 'yes');
        if (live.length < MOST_IMAGES) {
            await this.#create();
            return;
        }
        const image = live[this.#below(live.length)]!;
        let left = this.#below(this.#actions.reduce((sum, [weight]) => sum + weight, 0));
        const [, act] = this.#actions.find(([weight]) => (left -= weight) < 0)!;
        await act(image);
    }

    #below(limit: number): number {
        return Math.floor(this.#options.random() * limit);
    }

    #chance(share: number): boolean {
        return this.#options.random() < share;
    }

    /** Mostly where the operator's configuration puts it. */
    #storage(): string {
        const { store } = this.#options;
        return ['', '', `&storage=${store}`, '&storage=local'][this.#below(4)]!;
    }

    /** Some of them have several parts. */
    #bytes(): Buffer {
        const [least, most] = this.#chance(0.65)
            ? [64 * KIB, 300 * KIB]
            : this.#chance(0.5)
              ? [MIB, 3 * MIB]
              : [5 * MIB + 1, 11 * MIB];
        const size = least + this.#below(most - least);
        const start = this.#below(BYTES.length - size);
        return BYTES.subarray(start, start + size);
    }

    #note(action: string, outcome: 0 | 1 | 2): void {
        const counts = this.tally.get(action) ?? [0, 0, 0];
        counts[outcome]++;
        this.tally.set(action, counts);
    }

    /**
     * Sends a request; undefined if the server was killed before it answered.
     *
     * @param allowed codes of errors that are right as things are, beside those of an object store that is away
     */
    async #ask(
        action: string,
        method: string,
        path: string,
        content: RequestContent = {},
        allowed: readonly ErrorCode[] = [],
    ): Promise<Answer | undefined> {
        const client = await this.#options.server.client();
        let answer: Answer;
        try {
            answer = await client.request(method, path, content);
        } catch (err) {
            if (err instanceof assert.AssertionError || (await this.#options.server.isServed(client))) {
                throw new Error(`${method} ${path}: ${String(err)}`, { cause: err });
            }
            this.#note(action, 2);
            return undefined;
        }
        this.#note(action, answer.status < 400 ? 0 : 1);
        if (answer.status >= 400) {
            const { code } = answer.error;
            const isRight = [...UNAVAILABLE, ...allowed].includes(code as ErrorCode);
            assert.ok(isRight, `${method} ${path}: ${answer.status} ${answer.text}`);
        }
        return answer;
    }

    async #create(): Promise<void> {
        const body = JSON.stringify(MANIFEST);
        const headers = { 'content-type': 'application/json' };
        const answer = await this.#ask('create', 'POST', '/images', { headers, body });
        if (answer === undefined) {
            this.unknown++;
        } else if (answer.status === 200) {
            this.images.push(new KnownImage(answer.manifest.uuid));
        }
    }

    async #upload(image: KnownImage): Promise<void> {
        const bytes = this.#bytes();
        const sum = this.#chance(0.5) ? `&sha1=${sha1(bytes)}` : '';
        const path = at(image.uuid, `/file?compression=none${sum}${this.#storage()}`);
        const body = this.#chance(0.5) ? bytes : this.#inChunks(bytes);
        const answer = await this.#ask('upload', 'PUT', path, { body });
        if (answer === undefined) {
            image.files.set(sha1(bytes), bytes);
        } else if (answer.status === 200) {
            assert.equal(answer.manifest.files[0]?.sha1, sha1(bytes), 'the answer tells of another file');
            image.fileIs(bytes);
        }
    }

    /** Bytes that are not those that were announced. */
    async #uploadOther(image: KnownImage): Promise<void> {
        const path = at(image.uuid, `/file?compression=none&sha1=${sha1('other')}${this.#storage()}`);
        const answer = await this.#ask('upload of other bytes', 'PUT', path, { body: this.#bytes() }, [
            'Download',
        ]);
        assert.notEqual(answer?.status, 200, path);
    }

    async *#inChunks(bytes: Buffer): AsyncGenerator<Buffer> {
        for (let start = 0; start < bytes.length;) {
            const end = start + 1 + this.#below(MIB);
            yield bytes.subarray(start, end);
            start = end;
            if (this.#chance(0.1)) {
                await wait(this.#below(PATIENCE));
            }
        }
    }

    /** Sends half of the bytes, or all of them, and goes away before the answer. */
    async #leaveUpload(image: KnownImage): Promise<void> {
        const bytes = this.#bytes();
        const path = at(image.uuid, `/file?compression=none${this.#storage()}`);
        const sent = this.#chance(0.5) ? bytes : bytes.subarray(0, bytes.length / 2);
        if (sent.length === bytes.length) {
            image.files.set(sha1(bytes), bytes);
        }
        await this.#leave('upload left', 'PUT', path, { body: sent, length: bytes.length });
    }

    async #download(image: KnownImage): Promise<void> {
        await this.#downloaded(image, 'download', {}, (answer, bytes) => {
            assert.equal(Number(answer.headers['content-length']), bytes.length);
            assert.equal(answer.headers['content-md5'], md5(bytes), 'damage of the whole file shows');
            return bytes;
        });
    }

    async #downloadPart(image: KnownImage): Promise<void> {
        const { length } = image.file ?? BYTES;
        const start = this.#below(length);
        const end = start + this.#below(length - start);
        const headers = { range: `bytes=${start}-${end}` };
        await this.#downloaded(image, 'download of a part', { headers }, (answer, bytes) => {
            assert.equal(answer.headers['content-range'], `bytes ${start}-${end}/${bytes.length}`);
            return bytes.subarray(start, end + 1);
        });
    }

    /** @param expected checks the answer, and gives the bytes that it should have */
    async #downloaded(
        image: KnownImage,
        action: string,
        content: RequestContent,
        expected: (answer: Answer, bytes: Buffer) => Buffer,
    ): Promise<void> {
        const { uuid, file } = image;
        const before = this.#options.faults.corruptions(uuid);
        const client = await this.#options.server.client();
        let answer: Answer;
        try {
            answer = await client.request('GET', at(uuid, '/file'), content);
        } catch (err) {
            if (err instanceof assert.AssertionError) {
                throw err;
            }
            // It was cut, and the client has seen that.
            this.#note(action, 2);
            return;
        }
        this.#note(action, answer.status < 400 ? 0 : 1);
        if (file === undefined) {
            assert.deepEqual([answer.status, answer.error.code], [404, 'ResourceNotFound']);
        } else if (answer.status >= 400) {
            assert.ok(UNAVAILABLE.includes(answer.error.code as ErrorCode), answer.text);
        } else {
            const bytes = expected(answer, file);
            assert.equal(answer.body.length, bytes.length, 'as many bytes as were announced');
            const isDamaged = this.#options.faults.corruptions(uuid) > before;
            assert.ok(isDamaged || answer.body.equals(bytes), `image ${uuid}: other bytes than were stored`);
        }
    }

    async #leaveDownload(image: KnownImage): Promise<void> {
        await this.#leave('download left', 'GET', at(image.uuid, '/file'));
    }

    #movePath(image: KnownImage): string {
        const stor: StorageType = this.#chance(0.5) ? 'local' : this.#options.store;
        return at(image.uuid, `?action=change-stor&stor=${stor}`);
    }

    async #move(image: KnownImage): Promise<void> {
        const path = this.#movePath(image);
        const before = this.#options.faults.corruptions(image.uuid);
        const allowed: ErrorCode[] = [
            ...(image.icon === undefined ? [] : ['NotImplemented' as const]),
            ...(image.file === undefined ? ['ResourceNotFound' as const] : []),
            'InternalError',
        ];
        const answer = await this.#ask('change-stor', 'POST', path, {}, allowed);
        if (answer?.status === 200) {
            assert.equal(answer.manifest.files[0]?.stor, path.split('=').at(-1));
            assert.ok(image.files.has(answer.manifest.files[0]?.sha1), 'the file is the same');
        } else if (answer?.status === 500) {
            // What is sent wrong twice cannot be told from what is stored wrong.
            assert.ok(this.#options.faults.corruptions(image.uuid) > before + 1, answer.text);
        }
    }

    async #leaveMove(image: KnownImage): Promise<void> {
        await this.#leave('change-stor left', 'POST', this.#movePath(image));
    }

    async #putIcon(image: KnownImage): Promise<void> {
        const icon = Buffer.concat([ICON, randomBytes(this.#below(1000))]);
        const headers = { 'content-type': 'image/png' };
        const path = at(image.uuid, `/icon?${this.#storage().slice(1)}`);
        const answer = await this.#ask('icon', 'PUT', path, { headers, body: icon });
        if (answer === undefined) {
            image.icons.add(sha1(icon));
        } else if (answer.status === 200) {
            image.icons = new Set([sha1(icon)]);
        }
    }

    async #getIcon({ uuid, icon }: KnownImage): Promise<void> {
        const client = await this.#options.server.client();
        const answer = await client.get(at(uuid, '/icon')).catch((err: unknown) => {
            if (err instanceof assert.AssertionError) {
                throw err;
            }
            return undefined;
        });
        this.#note('icon download', answer === undefined ? 2 : answer.status < 400 ? 0 : 1);
        if (answer?.status === 200) {
            assert.equal(sha1(answer.body), icon);
        } else if (answer) {
            const codes: readonly string[] = icon === undefined ? ['ResourceNotFound'] : UNAVAILABLE;
            assert.ok(codes.includes(answer.error.code), answer.text);
        }
    }

    async #deleteIcon(image: KnownImage): Promise<void> {
        const allowed: ErrorCode[] = image.icon === undefined ? ['ResourceNotFound'] : [];
        const answer = await this.#ask('icon delete', 'DELETE', at(image.uuid, '/icon'), {}, allowed);
        if (answer === undefined) {
            image.icons.add(undefined);
        } else if (answer.status === 200) {
            image.icons = new Set([undefined]);
        }
    }

    async #delete(image: KnownImage): Promise<void> {
        if (this.#chance(0.3)) {
            image.exists = 'perhaps';
            await this.#leave('delete left', 'DELETE', at(image.uuid));
            return;
        }
        const answer = await this.#ask('delete', 'DELETE', at(image.uuid));
        if (answer === undefined) {
            image.exists = 'perhaps';
        } else if (answer.status === 204) {
            image.exists = 'no';
        }
    }

    /** Sends a request, or so much of it, and goes away some time after. */
    async #leave(
        action: string,
        method: string,
        path: string,
        { body, length = 0 }: { body?: Buffer; length?: number } = {},
    ): Promise<void> {
        const { url }: Client = await this.#options.server.client();
        const headers = { ...credentials(), ...(body && { 'content-length': length }) };
        await new Promise<void>((resolve) => {
            const request = http.request(url + path, { method, agent: false, headers });
            request.on('error', () => undefined).once('close', resolve);
            const go = (): unknown => setTimeout(() => request.destroy(), this.#below(PATIENCE));
            if (body) {
                request.write(body, go);
            } else {
                request.end(go);
            }
        });
        this.#note(action, 2);
    }
}
