/** The clients of other servers as the server makes them, within the test's own process. */
import assert from 'node:assert/strict';
import { createHook } from 'node:async_hooks';
import { readFileSync } from 'node:fs';
import type { LookupAddress } from 'node:dns';
import { DEFAULTS_FILE } from '../../lib/config/load';
import { effectiveConfig } from '../../lib/config/validate';
import { OutboundRefused, RemoteFailure, type RemoteContext, type Remotes } from '../../lib/imports/driver';
import { createRemotes } from '../../lib/imports/index';
import { recordingLog } from './recording-log';

export const SERVER_NAME = 'IMGAPI/test';

/** The addresses of names; other names do not exist. */
export type Hosts = Record<string, readonly string[] | (() => Promise<readonly string[]>)>;

/** A resolver that knows these names only. */
export function resolverOf(hosts: Hosts): (name: string) => Promise<LookupAddress[]> {
    return async (name) => {
        const known = hosts[name];
        if (known === undefined) {
            throw Object.assign(new Error(`getaddrinfo ENOTFOUND ${name}`), { code: 'ENOTFOUND' });
        }
        const addresses = typeof known === 'function' ? await known() : known;
        return addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }));
    };
}

const unclosed = new Set<Remotes>();

/** The configuration with these keys and the defaults of the rest. */
export function configOf(settings: Record<string, unknown>): ReturnType<typeof effectiveConfig> {
    const defaults = JSON.parse(readFileSync(DEFAULTS_FILE, 'utf8')) as Record<string, unknown>;
    return effectiveConfig({ ...defaults, ...settings });
}

/**
 * The clients with these keys of the configuration. {@link closeRemotes} closes them.
 *
 * @param records takes what is logged
 */
export function testRemotes(
    settings: Record<string, unknown> = {},
    { hosts, ca, records = [] }: { hosts?: Hosts; ca?: string; records?: object[] } = {},
): Remotes {
    const log = recordingLog(records);
    const remotes = createRemotes({
        config: configOf(settings),
        log,
        serverName: SERVER_NAME,
        ...(hosts && { resolve: resolverOf(hosts) }),
        ...(ca !== undefined && { ca }),
    });
    unclosed.add(remotes);
    return remotes;
}

export async function closeRemotes(): Promise<void> {
    await Promise.all([...unclosed].map((remotes) => remotes.close()));
    unclosed.clear();
}

/** A call that nobody aborts. */
export function call(signal: AbortSignal = new AbortController().signal): RemoteContext {
    return { requestId: 'a-request', signal };
}

/** All the bytes. */
export async function drain(body: AsyncIterable<Buffer>): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of body) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks);
}

async function errorOf(run: () => unknown): Promise<unknown> {
    try {
        await run();
    } catch (err) {
        return err;
    }
    return assert.fail('it succeeded');
}

/** Fails unless it is a refusal. */
export function assertRefused(err: unknown): asserts err is OutboundRefused {
    assert(err instanceof OutboundRefused, `refused, not: ${String(err)}`);
}

/** The refusal that the call ends with. */
export async function refusal(run: () => unknown): Promise<OutboundRefused> {
    const err = await errorOf(run);
    assertRefused(err);
    return err;
}

/** The failure that the call ends with. */
export async function failure(run: () => unknown): Promise<RemoteFailure> {
    const err = await errorOf(run);
    assert(err instanceof RemoteFailure, `a RemoteFailure, not: ${String(err)}`);
    return err;
}

/** Counts the TCP connections that this process begins, whatever they lead to, until it is stopped. */
export function watchConnects(): { readonly count: number; stop: () => void } {
    let count = 0;
    const hook = createHook({
        init: (_id, type) => {
            if (type === 'TCPCONNECTWRAP') {
                count++;
            }
        },
    }).enable();
    return {
        get count() {
            return count;
        },
        stop: () => hook.disable(),
    };
}
