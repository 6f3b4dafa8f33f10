/** Commands that ask the running server for something. */
import type { Command } from './command';
import { Server, SERVER_FLAGS } from './server';

export const state: Command = {
    name: 'state',
    summary: 'Print what the running server holds in memory, as JSON',
    details: ['With the embedded database that includes every record, as it is stored.'],
    flags: [
        { name: 'drop-caches', help: 'print nothing, and have it forget what it remembers' },
        ...SERVER_FLAGS,
    ],
    async run(context) {
        const { output, flags } = context;
        const server = await Server.find(context);
        if (flags.has('drop-caches')) {
            (await server.request('POST', '/state?action=dropcaches')).resume();
            output.say(`The server at ${server.url} has forgotten what it remembered.`);
            return 0;
        }
        await output.pass(await server.request('GET', '/state'));
        return 0;
    },
};

export const reloadAuthKeys: Command = {
    name: 'reload-auth-keys',
    summary: 'Have the running server load the keys of users again',
    details: [
        'It does not wait for them. If some cannot be loaded, its log says so, and the former ones stay.',
    ],
    flags: SERVER_FLAGS,
    async run(context) {
        const server = await Server.find(context);
        (await server.request('POST', '/authkeys/reload')).resume();
        context.output.say(`The server at ${server.url} loads the keys again.`);
        return 0;
    },
};
