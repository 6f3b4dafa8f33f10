/** `imgapi-standalone-gen-setup-config` (ops.md §4, config.md §9). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { runSetupConfig } from '../../lib/admin/setup-config';
import { Page, runProgram, type Outcome } from '../support/imgapiadm';
import { makeKey } from '../support/keys';
import { makeFolder } from '../support/server';

describe('imgapi-standalone-gen-setup-config', () => {
    let place: Awaited<ReturnType<typeof makeFolder>>;
    let publicLine: string;
    before(async () => {
        place = await makeFolder();
        ({ publicLine } = makeKey(place.path, 'test.id_ecdsa', 'ecdsa'));
    });
    after(() => place.remove());

    function generate(values: Record<string, string>): Outcome {
        const [out, err] = [new Page(), new Page()];
        const given = Object.entries(values).flatMap(([name, value]) => ['-m', `${name}=${value}`]);
        const code = runSetupConfig({ argv: ['--etc', place.path, ...given], stdout: out, stderr: err });
        return { code, out: out.text, err: err.text };
    }

    it('has little to say where nothing is given', () => {
        const { code, out } = generate({});
        assert.equal(code, 0);
        assert.deepEqual(JSON.parse(out), {
            authType: 'signature',
            databaseType: 'local',
            storageTypes: ['local'],
        });
    });

    it('takes all that metadata may say', () => {
        const { code, out, err } = generate({
            mode: 'private',
            channels: 'standard',
            serverName: 'My "images"',
            mantaUrl: 'https://manta.example.com',
            mantaUser: 'alice',
            mantaInsecure: 'true',
            mantaBaseDir: 'registry',
            instPubKey: publicLine,
        });
        assert.deepEqual([code, err], [0, '']);
        const { channels, ...config } = JSON.parse(out) as {
            channels: { name: string; default?: boolean }[];
        };
        assert.deepEqual(
            channels.map(({ name }) => name),
            ['experimental', 'dev', 'staging', 'release', 'support'],
        );
        assert.equal(channels.find((channel) => channel.default)?.name, 'dev');
        const key = join(place.path, 'test.id_ecdsa');
        const keyId = execFileSync('ssh-keygen', ['-l', '-f', key], { encoding: 'utf8' }).split(' ')[1];
        assert.deepEqual(config, {
            mode: 'private',
            serverName: 'My "images"',
            authType: 'signature',
            databaseType: 'local',
            storageTypes: ['manta', 'local'],
            manta: {
                url: 'https://manta.example.com',
                user: 'alice',
                key,
                keyId,
                baseDir: 'registry',
                insecure: true,
            },
        });
        const [, own = ''] =
            /"channels": (\[[^\]]*\])/.exec(
                generate({ channels: '[{"name": "one", "description": "the only one"}]' }).out,
            ) ?? [];
        assert.deepEqual(JSON.parse(own), [{ name: 'one', description: 'the only one' }]);
    });

    it('says why there is no configuration', () => {
        const refused = (values: Record<string, string>, message: RegExp): void => {
            const { code, out, err } = generate(values);
            assert.deepEqual([code, out], [1, '']);
            assert.match(err, message);
        };
        refused({ mode: 'dc' }, /no standalone instance/);
        refused({ mode: 'secret' }, /config\.mode is "secret"/);
        refused({ channels: '[' }, /neither "standard" nor JSON/);
        refused({ channels: '[]' }, /config\.channels is \[\]/);
        refused({ mantaUser: 'alice' }, /mantaUrl and instPubKey are needed/);
        const manta = { mantaUser: 'alice', mantaUrl: 'https://manta.example.com' };
        refused(
            { ...manta, instPubKey: publicLine.replace(/ test$/, ' other') },
            /other\.id_ecdsa, is not there/,
        );
        refused({ wrong: 'x' }, /it takes NAME=VALUE/);
    });

    it('asks mdata-get', async () => {
        const program = join(place.path, 'mdata-get');
        writeFileSync(program, '#!/bin/sh\n[ "$1" = mode ] && echo private && exit 0\nexit 1\n');
        chmodSync(program, 0o755);
        const path = `${place.path}${delimiter}${process.env.PATH ?? ''}`;
        const { code, out } = await runProgram('imgapi-standalone-gen-setup-config', [], { PATH: path });
        assert.equal(code, 0);
        assert.equal((JSON.parse(out) as { mode: string }).mode, 'private');
        writeFileSync(program, '#!/bin/sh\nexit 2\n');
        const failed = await runProgram('imgapi-standalone-gen-setup-config', [], { PATH: path });
        assert.equal(failed.code, 1);
        assert.match(failed.err, /mdata-get mode ended with 2/);
    });
});
