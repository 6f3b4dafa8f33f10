/**
 * Imports of chains of three images, while the servers that import them, and the one they come from, are killed again
 * and again. Every chain ends complete, and nothing else is left.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { at, type Answer, type Client } from './api';
import { CampaignServer } from './campaign-server';
import { seeded } from './images';
import type { ShownJob } from './jobs';
import { PacedSource } from './paced-source';
import { makeFolder } from './server';
import { seenImages, untilClean } from './stored-images';

/** How long a chain may take to be complete, with all that happens to it, in ms. */
const COMPLETE_WITHIN = 180_000;
/** How long what nobody refers to may stay, in ms. */
const CLEAN_WITHIN = 30_000;
/** The next kill comes after so many events at the source at most, or after that many ms. */
const MOST_EVENTS = 25;
const MOST_PATIENCE = 4000;
const POLL = 50;

/** Answers that an import may get while all this is going on, beside 200. */
const REFUSALS: readonly string[] = ['RemoteSourceError', 'ImageUuidAlreadyExists', 'OriginIsNotActive'];

export interface ImportCampaignResult {
    /** Of the servers that import: one of the two, or both at once. */
    readonly kills: { one: number; both: number };
    /** Of the server they import from. */
    readonly sourceKills: number;
    readonly chains: number;
    /** Jobs by how they ended. */
    readonly jobs: ReadonlyMap<string, number>;
}

/** @throws AssertionError if an import does not end, or leaves anything but the images of the source */
export async function importCampaign(options: {
    seed: number;
    /** How often servers are killed that import. */
    kills: number;
}): Promise<ImportCampaignResult> {
    const place = await makeFolder();
    const source = new CampaignServer({ dataDir: join(place.path, 'source') });
    const paced = await PacedSource.start((await source.client()).url);
    const dataDir = join(place.path, 'target');
    const config = {
        limits: { uploadSilence: 2000 },
        jobs: { leaseTime: '2s', retryDelay: '50ms', maxRetryDelay: '500ms' },
        outbound: { allow: ['127.0.0.1'] },
    };
    const targets = [
        new CampaignServer({ config, dataDir }),
        new CampaignServer({ config, dataDir }),
    ] as const;
    try {
        return await new Campaign({ ...options, source, paced, targets, dataDir }).run();
    } finally {
        await Promise.all([source, ...targets].map((server) => server.stop()));
        await paced.stop();
        await place.remove();
    }
}

interface Parts {
    seed: number;
    kills: number;
    source: CampaignServer;
    paced: PacedSource;
    /** Two processes that share their data. */
    targets: readonly [CampaignServer, CampaignServer];
    dataDir: string;
}

class Campaign {
    readonly #random: () => number;
    readonly #kills = { one: 0, both: 0 };
    #sourceKills = 0;

    constructor(private readonly parts: Parts) {
        this.#random = seeded(parts.seed);
    }

    async run(): Promise<ImportCampaignResult> {
        let chains = 0;
        while (this.#killed < this.parts.kills) {
            const top = await this.#makeChain();
            chains++;
            await this.#killUntil(this.#imported(top));
            await this.#assertComplete();
        }
        return {
            kills: this.#kills,
            sourceKills: this.#sourceKills,
            chains,
            jobs: tally((await this.#allJobs()).map(({ execution }) => execution)),
        };
    }

    get #killed(): number {
        return this.#kills.one + this.#kills.both;
    }

    #below(limit: number): number {
        return Math.floor(this.#random() * limit);
    }

    #target(): CampaignServer {
        return this.parts.targets[this.#below(2)] ?? this.parts.targets[0];
    }

    /** Gives the source an image with two origins; some of the three with icons. */
    async #makeChain(): Promise<string> {
        const client = await this.parts.source.client();
        let origin: string | undefined;
        for (const name of ['base', 'middle', 'top']) {
            const bytes = randomBytes(100_000 + this.#below(600_000));
            const { uuid } = await client.createActive({ name, ...(origin && { origin }) }, bytes);
            if (this.#random() < 0.5) {
                await client.uploadIcon(uuid);
            }
            origin = uuid;
        }
        assert.ok(origin);
        return origin;
    }

    /** Kills servers while the work goes on. */
    async #killUntil(work: Promise<void>): Promise<void> {
        const over = new AbortController();
        const ended = work.finally(() => over.abort());
        // It is waited for below, once nobody is killed any more.
        ended.catch(() => undefined);
        while (this.#killed < this.parts.kills) {
            await this.parts.paced.events(1 + this.#below(MOST_EVENTS), MOST_PATIENCE, over.signal);
            if (over.signal.aborted) {
                break;
            }
            await this.#kill();
        }
        await ended;
    }

    async #kill(): Promise<void> {
        const { source, paced, targets } = this.parts;
        const choice = this.#random();
        // Of the few kills of a short campaign one is to be the source's.
        if (choice < 0.2 || this.#sourceKills === 0) {
            this.#sourceKills++;
            await source.kill();
            paced.target = (await source.client()).url;
        } else if (choice < 0.6) {
            this.#kills.one++;
            await this.#target().kill();
        } else {
            this.#kills.both++;
            await Promise.all(targets.map((server) => server.kill()));
        }
    }

    /** Asks for an import, as often as it takes; sometimes two clients do. */
    async #imported(uuid: string): Promise<void> {
        const clients = this.#random() < 0.3 ? 2 : 1;
        await Promise.all(Array.from({ length: clients }, () => this.#importTop(uuid)));
        await this.#untilJobsEnded();
    }

    async #importTop(uuid: string): Promise<void> {
        const deadline = Date.now() + COMPLETE_WITHIN;
        const path = at(uuid, `?action=import-remote&source=${encodeURIComponent(this.parts.paced.url)}`);
        for (;;) {
            const image = await this.#ask((client) => client.get(at(uuid)));
            if (image.status === 200 && image.manifest.state === 'active') {
                return;
            }
            assert.ok(Date.now() < deadline, `the import of ${uuid} does not end: ${image.text}`);
            const answer = await this.#ask((client) => client.post(path, {}));
            if (answer.status !== 200) {
                assert.ok(REFUSALS.includes(answer.error.code), answer.text);
            }
            await this.#untilJobsEnded(uuid);
            const { status, text } = await this.#ask((client) => client.get(at(uuid)));
            assert.ok(status === 404 || text.includes('"active"'), `nobody goes on with ${text}`);
        }
    }

    /** Waits until no job goes on, or none for an image. */
    async #untilJobsEnded(uuid?: string): Promise<void> {
        const deadline = Date.now() + COMPLETE_WITHIN;
        const filter = uuid === undefined ? '' : `&image_uuid=${uuid}`;
        for (;;) {
            const [queued, running] = [
                await this.#ask((client) => client.get(`/jobs?execution=queued${filter}`)),
                await this.#ask((client) => client.get(`/jobs?execution=running${filter}`)),
            ];
            const jobs = [queued, running].flatMap(({ json }) => json as ShownJob[]);
            if (jobs.length === 0) {
                return;
            }
            assert.ok(Date.now() < deadline, `jobs go on: ${JSON.stringify(jobs)}`);
            await wait(POLL);
        }
    }

    /** Asks one of the servers, again if it is killed meanwhile. */
    async #ask(question: (client: Client) => Promise<Answer>): Promise<Answer> {
        for (;;) {
            const server = this.#target();
            const client = await server.client();
            try {
                return await question(client);
            } catch (err) {
                if (err instanceof assert.AssertionError || (await server.isServed(client))) {
                    throw err;
                }
            }
        }
    }

    async #allJobs(): Promise<ShownJob[]> {
        return (await (await this.#target().client()).get('/jobs?limit=1000')).json as ShownJob[];
    }

    /** Here is what is there, and nothing else; every job has ended as it may, and was one process's at a time. */
    async #assertComplete(): Promise<void> {
        const { source, paced, dataDir } = this.parts;
        const client = await this.#target().client();
        const seen = await seenImages(client);
        assert.deepEqual(seen, await seenImages(await source.client()));
        const { manifests } = await client.get('/images?state=all');
        assert.deepEqual(new Set(manifests.map(({ state }) => state)), new Set(['active']));
        await untilClean(dataDir, seen, CLEAN_WITHIN);
        assert.deepEqual(paced.overlaps, [], 'requests of one job at once');
        for (const job of await this.#allJobs()) {
            assert.ok(['succeeded', 'failed'].includes(job.execution), JSON.stringify(job));
            const steps = job.chain_results.map(({ name }) => name);
            assert.equal(new Set(steps).size, steps.length, `a step has two results: ${steps.join()}`);
        }
    }
}

function tally(values: readonly string[]): Map<string, number> {
    const counts = new Map<string, number>();
    values.forEach((value) => counts.set(value, (counts.get(value) ?? 0) + 1));
    return counts;
}
