/** The client of an account directory by itself, for tests of what it does with good and bad ones. */
import assert from 'node:assert/strict';
import bunyan from 'bunyan';
import { Ufds } from '../../lib/dc/ufds';
import { ApiError } from '../../lib/errors';
import { ACCOUNTS } from './openldap';
import { configOf } from './remotes';
import type { LogRecord } from './server';

/** The client of an account directory as the server has it, with its log. */
export class DirectoryClient {
    readonly log: LogRecord[] = [];
    readonly ufds: Ufds;
    readonly #listeners = new Set<() => void>();

    constructor(config: Record<string, unknown>) {
        const write = (record: object) => {
            this.log.push(record as LogRecord);
            this.#listeners.forEach((look) => look());
        };
        const log = bunyan.createLogger({
            name: 'test',
            level: 'debug',
            streams: [{ type: 'raw', level: 'debug', stream: { write } }],
            serializers: { err: bunyan.stdSerializers.err },
        });
        const { ufds } = configOf({
            mode: 'dc',
            datacenterName: 'test',
            ufds: { bindDN: 'cn=root', bindPassword: 'x', ...config },
        });
        assert.ok(ufds);
        this.ufds = new Ufds(ufds, log);
    }

    /** Waits for the nth record with this message. */
    async logged(message: string, count = 1): Promise<LogRecord> {
        return new Promise((found) => {
            const look = () => {
                const record = this.log.filter(({ msg }) => msg.includes(message))[count - 1];
                if (record) {
                    this.#listeners.delete(look);
                    found(record);
                }
            };
            this.#listeners.add(look);
            look();
        });
    }

    messages(level: number): string[] {
        return this.log.filter((record) => record.level >= level).map(({ msg }) => msg);
    }
}

/** The methods of a subject, to be used on their own. */
export function bound(subject: DirectoryClient) {
    return {
        ufds: subject.ufds,
        log: subject.log,
        logged: (message: string, count?: number) => subject.logged(message, count),
        messages: (level: number) => subject.messages(level),
    };
}

/** The look-up fails as 503 and says nothing about the reason. */
export async function assertUnavailable(ufds: Ufds, uuid: string = ACCOUNTS.luke): Promise<void> {
    await assert.rejects(ufds.find(uuid), (err) => {
        assert.ok(err instanceof ApiError);
        assert.equal(err.code, 'ServiceUnavailableError');
        assert.doesNotMatch(err.message, /127\.0\.0\.1|root/);
        return true;
    });
}

/** How long that took, in ms. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
    const begin = performance.now();
    await work();
    return performance.now() - begin;
}
