/** Servers that know one user, alice, and her client: in tests that start servers again and again, or several at once. */
import { Client } from './api';
import { signedHeaders } from './keys';
import { testKeys } from './registry';
import { TestServer, type ServerOptions } from './server';

/** The headers that sign one request. */
export function credentials(): Record<string, string> {
    return signedHeaders('alice', testKeys()[0]);
}

/** Runs `work` on a server, which is stopped afterwards if it still runs. */
export async function withServer<T>(
    { config, ...options }: ServerOptions,
    work: (client: Client, server: TestServer) => Promise<T>,
): Promise<T> {
    const authKeys = { alice: [testKeys()[0].publicLine] };
    const server = await TestServer.start({
        ...options,
        config: { authType: 'signature', authKeys, ...config },
    });
    try {
        return await work(new Client(server.url, credentials), server);
    } finally {
        await server.stop();
    }
}
