import v8 from 'node:v8';

/**
 * To be loaded before a program (`node --require`), so that it also runs in the threads that the program starts. The SDK
 * records a call stack for each promise of a workflow, for the query `__stack_trace` ("Call Stack" in the Web UI): a
 * quarter of the CPU of the process that runs the order. It has no option to leave that out, but does without where the
 * runtime has no such hooks, and says so once for each thread. What an order has done is in its current details.
 *
 * Node's own use of these hooks does not go through this object.
 */
Object.assign(v8, { promiseHooks: { ...v8.promiseHooks, createHook: undefined } });
