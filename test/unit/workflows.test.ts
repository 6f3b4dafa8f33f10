/** The workflows as they are given to the workflow service: what runs them is Node 6 (vm-images.md §7.1). */
import assert from 'node:assert/strict';
import vm from 'node:vm';
import { Linter } from 'eslint';
import { workflowOf, type Task } from '../../lib/dc/workflow-source';

/** What a task finds beside the modules that it names. */
const GLOBALS = [
    ...['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'setImmediate', 'clearImmediate'],
    ...['console', 'util', 'Buffer', 'Error', 'info'],
    ...['imgapiUrl', 'vmapiUrl', 'cnapiUrl'],
    // Of the language.
    ...['Array', 'Date', 'JSON', 'Math', 'Number', 'Object', 'RegExp', 'String', 'encodeURIComponent'],
];
const MODULES = ['restify'];

for (const name of ['create-from-vm', 'import-remote-image']) {
    const workflow = workflowOf(name)!;
    const lists = { chain: workflow.chain, onerror: workflow.onerror, oncancel: workflow.oncancel };
    const tasks: (readonly [string, Task])[] = Object.entries(lists).flatMap(([list, all]) =>
        all.map((task) => [`${list}: ${task.name}`, task] as const),
    );

    describe(`The workflow ${name}`, () => {
        it('has a name of its own for each version', () => {
            assert.equal(workflow.name, `${name}-${workflow.version}`);
            assert.doesNotMatch(workflow.name, /-7\./, 'one of another program');
        });

        it('lasts longer than its tasks, whose ends tell more', () => {
            assert.ok(workflow.timeout > workflow.chain.reduce((sum, { timeout }) => sum + timeout, 0));
        });

        it('ends badly after a failure, however well that was dealt with', () => {
            const { body } = workflow.onerror.at(-1)!;
            const run = vm.runInNewContext(`(${body})`) as (job: object, cb: (err: unknown) => void) => void;
            let err: unknown;
            run({}, (given) => {
                err = given;
            });
            assert.equal(typeof err, 'string');
        });

        for (const [which, task] of tasks) {
            it(`has nothing but ES5, and no globals but those of a task, in ${which}`, () => {
                const modules = Object.keys(task.modules);
                assert.ok(Object.values(task.modules).every((module) => MODULES.includes(module)));
                assert.deepEqual(
                    new Linter().verify(`(${task.body});`, {
                        languageOptions: {
                            ecmaVersion: 5,
                            sourceType: 'script',
                            globals: Object.fromEntries(
                                [...GLOBALS, ...(modules.length > 0 ? modules : MODULES)].map((one) => [
                                    one,
                                    'readonly',
                                ]),
                            ),
                        },
                        rules: { 'no-undef': 'error' },
                    }),
                    [],
                );
            });
        }
    });
}
