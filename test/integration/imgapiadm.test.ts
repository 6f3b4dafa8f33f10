/** The command line of `imgapiadm`: commands, help, mistakes and their exit codes (ops.md §5). */
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { commands } from '../../lib/admin/commands';
import { runAdmin } from '../../lib/admin/main';
import { Imgapiadm, runProgram, type Outcome } from '../support/imgapiadm';
import { makeFolder } from '../support/server';

/** What a command does, without a process of its own. */
async function here(...argv: string[]): Promise<Outcome> {
    const [stdout, stderr] = [new PassThrough(), new PassThrough()];
    const code = await runAdmin({ argv, environment: {}, stdout, stderr });
    const [out, err] = [stdout, stderr].map((stream) => String((stream.read() as Buffer | null) ?? ''));
    return { code, out: out ?? '', err: err ?? '' };
}

describe('imgapiadm', () => {
    let place: Awaited<ReturnType<typeof makeFolder>>;
    let adm: Imgapiadm;
    let file: string;

    before(async () => {
        place = await makeFolder();
        adm = await Imgapiadm.with(place.path, { dataDir: join(place.path, 'data') });
        ({ file } = adm);
    });
    after(() => place.remove());

    for (const args of [['--help'], ['-h'], ['help'], ['-v', '--help']]) {
        it(`names every command with "${args.join(' ')}"`, async () => {
            const { code, out, err } = await adm.run(...args);
            assert.deepEqual([code, err], [0, '']);
            for (const { name, summary } of commands) {
                assert.ok(out.includes(`    ${name} `) && out.includes(summary), name);
            }
            assert.match(out, /Exit codes: 0 .*; 1 .*; 2 /);
        });
    }

    it('tells of each command what it takes, in two ways', async () => {
        for (const { name, flags } of commands) {
            const words = name.split(' ');
            const [one, other] = await Promise.all([here('help', ...words), here(...words, '--help')]);
            assert.deepEqual(one, other);
            assert.deepEqual([one.code, one.err], [0, '']);
            assert.ok(one.out.startsWith(`Usage: imgapiadm ${name}`));
            for (const flag of flags) {
                assert.ok(one.out.includes(`--${flag.name}`), flag.name);
            }
        }
    });

    it('prints its version', async () => {
        const { version } = JSON.parse(await readFile(join(__dirname, '../../package.json'), 'utf8')) as {
            version: string;
        };
        assert.deepEqual(await adm.runWith({}, '--version'), {
            code: 0,
            out: `imgapiadm ${version}\n`,
            err: '',
        });
        assert.deepEqual(await adm.run('state', '--version'), await adm.run('--version'));
    });

    it('has the commands of the operator guide, and the guide them', async () => {
        const guide = await readFile(join(__dirname, '../../docs/operator-guide.md'), 'utf8');
        const rows = [...guide.matchAll(/^\| `imgapiadm ([a-z -]+?)(?: \[?[-A-Z].*?)?` \|/gm)].map(
            ([, name]) => name,
        );
        assert.deepEqual(
            rows,
            commands.map(({ name }) => name),
        );
        for (const { name, flags } of commands) {
            for (const flag of flags) {
                assert.ok(guide.includes(`--${flag.name}`), `${name} --${flag.name}`);
            }
        }
    });

    for (const [args, complaint] of [
        [[], /Name a command/],
        [['nothing'], /no command "nothing"/],
        [['db'], /no command "db"; there are db import, db export, db copy, db reopen/],
        [['db', 'nothing'], /no command "db nothing"/],
        [['help', 'nothing'], /no command "nothing"/],
        [['--wrong', 'state'], /imgapiadm does not take --wrong/],
        [['-x'], /does not take -x/],
        [['db', 'export', '--merge'], /"db export" does not take --merge/],
        [['db', 'import', '--wrong'], /"db import" does not take --wrong/],
        [['db', 'import', '--merge', '--ignore'], /exclude each other/],
        [['db', 'import', '--merge=yes'], /--merge takes no value/],
        [['sweep', 'now'], /"sweep" takes options only, and "now" is none/],
        [['purge-placeholders', '--force'], /does not take --force/],
        [['check-files', 'not-a-uuid'], /"not-a-uuid" is not the uuid/],
        [['check-files', '--stor', 'tape'], /--stor is "tape"; it takes one of local/],
        [['check-files', '--stor', 's3'], /--stor is "s3"; it takes one of local\./],
        [['migrate-stor'], /Give --to TYPE, one of local/],
        [['migrate-stor', '--to'], /--to needs a value/],
        [['migrate-stor', '--to', 'manta'], /--to is "manta"; it takes one of local/],
        [['state', '--url', 'ftp://example.com'], /--url is "ftp:/],
        [['state', '--url', 'http://example.com/images'], /--url is "http:/],
        [['-f'], /-f needs a value/],
    ] as const) {
        it(`exits with 1 and a sentence for "${args.join(' ')}"`, async () => {
            const { code, out, err } = await here('-f', file, ...args);
            assert.equal(code, 1, err);
            assert.equal(out, '');
            assert.match(err, /^imgapiadm: .+\nRun "imgapiadm --help"/);
            assert.match(err, complaint);
        });
    }

    it('exits with 2 for a configuration that cannot be used, wherever it is named', async () => {
        const broken = join(place.path, 'broken.json');
        await writeFile(broken, '{');
        const wrong = join(place.path, 'wrong.json');
        await writeFile(wrong, '{"mode": "secret"}');
        for (const [file, complaint] of [
            [join(place.path, 'no.json'), /no\.json/],
            [broken, /could not parse .*broken\.json/],
            [wrong, /config\.mode/],
        ] as const) {
            for (const [index, args] of [
                ['-f', file, 'sweep'],
                ['sweep', '-f', file],
                [`--file=${file}`, 'check-files'],
                ['check-files', '--file', file],
            ].entries()) {
                const { code, out, err } =
                    index === 0 ? await runProgram('imgapiadm', args) : await here(...args);
                assert.deepEqual([code, out], [2, ''], args.join(' '));
                assert.match(err, complaint);
                assert.match(err, /^imgapiadm: [^\n]+\n$/, 'nothing is said twice');
            }
        }
    });

    it('exits with 2 where no server has run yet, and makes no database', async () => {
        for (const args of [
            ['check-files'],
            ['purge-placeholders'],
            ['sweep'],
            ['migrate-stor', '--to', 'local', '-n'],
        ]) {
            const { code, out, err } = await adm.run(...args);
            assert.deepEqual([code, out], [2, ''], args.join(' '));
            assert.match(err, /There is no database .*data\/imgapi\.db/);
        }
        await assert.rejects(readFile(join(place.path, 'data', 'imgapi.db')));
    });
});
