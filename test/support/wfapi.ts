/** A real workflow service for tests: deps/wfapi, which runs the jobs of the servers that are told its URL. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { TestServer } from './server';
import { skip } from './skip';

const run = promisify(execFile);
const DEPS = resolve(__dirname, '../../deps/wfapi');

/** `start` says so if it cannot be installed here. */
const NOT_INSTALLED = 127;

/** Where the tasks of jobs find the services of their datacenter. */
export interface ServiceUrls {
    imgapiUrl?: string;
    vmapiUrl?: string;
    cnapiUrl?: string;
}

export class WorkflowService {
    private constructor(
        private readonly folder: string,
        readonly url: string,
    ) {}

    /** Skips the test or suite of `context` where it cannot be installed. */
    static async start(context: Mocha.Context): Promise<WorkflowService> {
        const folder = await mkdtemp(join(tmpdir(), 'imgapi-wfapi-'));
        try {
            const { stdout } = await run(join(DEPS, 'start'), [folder]);
            return new WorkflowService(folder, stdout.trim());
        } catch (err) {
            await rm(folder, { recursive: true });
            const { code, stderr } = err as { code?: unknown; stderr?: string };
            if (code === NOT_INSTALLED) {
                skip(context, String(stderr).trim());
            }
            throw err;
        }
    }

    /** The block `wfapi` of a server that has it run its jobs. */
    get config(): { url: string; workflows: string[]; forceMd5Check: true; pingInterval: string } {
        const workflows = ['create-from-vm', 'import-remote-image'];
        return { url: this.url, workflows, forceMd5Check: true, pingInterval: '100ms' };
    }

    /** Asks the service itself. */
    async get(path: string): Promise<unknown> {
        return this.#json(path);
    }

    async put(path: string, body: object): Promise<unknown> {
        return this.#json(path, 'PUT', body);
    }

    async post(path: string, body: object): Promise<unknown> {
        return this.#json(path, 'POST', body);
    }

    async #json(path: string, method = 'GET', body?: object): Promise<unknown> {
        const answer = await fetch(this.url + path, {
            method,
            headers: { 'content-type': 'application/json' },
            ...(body && { body: JSON.stringify(body) }),
        });
        const text = await answer.text();
        assert.ok(answer.ok, text);
        return JSON.parse(text) as unknown;
    }

    /** For all tasks that are started from now on. */
    async setServices(urls: ServiceUrls): Promise<void> {
        await writeFile(join(this.folder, 'services.json'), JSON.stringify(urls));
    }

    /** Ends it at once, with all that it remembers. */
    async kill(): Promise<void> {
        await run(join(DEPS, 'stop'), [this.folder]);
    }

    /** After {@link kill}: at the same URL. */
    async restart(): Promise<void> {
        await run(join(DEPS, 'start'), [this.folder]);
    }

    async stop(): Promise<void> {
        await this.kill();
        await rm(this.folder, { recursive: true });
    }
}

/** Resolves once a server has its jobs of these kinds run by a workflow service. */
export async function untilWorkflowsReady(
    server: TestServer,
    tasks: readonly string[] = ['create-from-vm', 'import-remote-image'],
): Promise<void> {
    for (const task of tasks) {
        await server.logged(
            ({ msg, workflow }) =>
                msg === 'WFAPI: a workflow is ready' && String(workflow).startsWith(`${task}-`),
        );
    }
}
