/** A server that speaks LDAP as the test wants, for what a real one does not do. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net, { type AddressInfo, type Socket } from 'node:net';

/** Answers that LDAP gives as bytes: a message with one result in it. */
export const result = (id: number, operation: number, code: number): Buffer =>
    Buffer.from([0x30, 12, 2, 1, id, operation, 7, 0x0a, 1, code, 4, 0, 4, 0]);
export const BOUND = result(1, 0x61, 0);
export const done = (id: number, code: number): Buffer => result(id, 0x65, code);

/** One element of BER, with a short length. */
export function tlv(tag: number, ...contents: (Buffer | string)[]): Buffer {
    const content = Buffer.concat(contents.map((part) => Buffer.from(part)));
    assert.ok(content.length < 128 || content.length < 256);
    const length = content.length < 128 ? [content.length] : [0x81, content.length];
    return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

/** One entry, as the answer to the first question after the login. */
export function entryOf(uuid: string): Buffer {
    const name = Buffer.from(`uuid=${uuid}, ou=users, o=smartdc`);
    const attribute = tlv(0x30, tlv(4, 'uuid'), tlv(0x31, tlv(4, uuid)));
    return tlv(0x30, tlv(2, Buffer.from([2])), tlv(0x64, tlv(4, name), tlv(0x30, attribute)));
}

/** A server of TCP that does what the test wants with the nth thing that a client says. */
export class LyingLdap {
    /** How many connections were open at once at most. */
    most = 0;

    private constructor(
        private readonly server: net.Server,
        private readonly sockets: Set<Socket>,
        /** Resolves with the first connection. */
        readonly connection: Promise<unknown>,
    ) {}

    static async listen(onMessage: (socket: Socket, count: number) => void): Promise<LyingLdap> {
        const sockets = new Set<Socket>();
        const server = net.createServer((socket) => {
            let count = 0;
            sockets.add(socket);
            lying.most = Math.max(lying.most, sockets.size);
            socket.on('error', () => socket.destroy()).once('close', () => sockets.delete(socket));
            socket.on('data', () => onMessage(socket, count++));
        });
        const connection = once(server, 'connection');
        const lying = new LyingLdap(server, sockets, connection);
        server.listen(0, '127.0.0.1');
        await once(server, 'listening');
        return lying;
    }

    get url(): string {
        return `ldap://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
    }

    /** Resolves once no connection is open. */
    async idle(): Promise<void> {
        await Promise.all(
            [...this.sockets].map((socket) => new Promise((closed) => socket.once('close', closed))),
        );
    }

    async close(): Promise<void> {
        const closed = once(this.server, 'close');
        this.server.close();
        this.sockets.forEach((socket) => socket.destroy());
        await closed;
    }
}
