/** A server that is killed and started again while clients work with it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Client } from './api';
import { assertTableHonest, testKeys } from './registry';
import { TestServer, type LogRecord, type ServerOptions } from './server';
import { credentials } from './signed';

export class CampaignServer {
    /** Of all that ran. */
    readonly log: LogRecord[] = [];
    kills = 0;
    readonly #options: ServerOptions;
    #current: Promise<TestServer>;

    constructor({ config, ...options }: ServerOptions) {
        const authKeys = { alice: [testKeys()[0].publicLine] };
        this.#options = { ...options, config: { authType: 'signature', authKeys, ...config } };
        this.#current = TestServer.start(this.#options);
    }

    /** A client of the server that runs, or of the one that is being started. */
    async client(): Promise<Client> {
        return new Client((await this.#current).url, credentials);
    }

    /** Whether the requests that this client sends reach a server that nobody has killed. */
    async isServed({ url }: Client): Promise<boolean> {
        const server = await this.#current;
        return server.url === url && server.running;
    }

    /** Kills it and starts another one on what is left. */
    async kill(): Promise<void> {
        const victim = await this.#current;
        this.kills++;
        this.#current = this.#replace(victim);
        await this.#current;
    }

    async #replace(victim: TestServer): Promise<TestServer> {
        const outputEnded = once(victim.child, 'close');
        await victim.stop('SIGKILL');
        await outputEnded;
        this.log.push(...victim.log);
        return TestServer.start(this.#options);
    }

    /** Asks the last one to end; proves that it did, and that none has failed in a way that it should not. */
    async stop(): Promise<void> {
        const server = await this.#current;
        const outputEnded = once(server.child, 'close');
        const code = await server.stop();
        await outputEnded;
        this.log.push(...server.log);
        assert.equal(code, 0, 'the server ended as it was asked to');
        assertTableHonest(this.log);
        const faults = this.log.filter(
            ({ msg, level }) => level >= 60 || msg === 'a request failed in a way it should not',
        );
        assert.deepEqual(faults, [], 'faults of the server');
    }
}
