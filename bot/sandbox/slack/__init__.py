"""A local Slack: one workspace with one app installed, for tests, the demo and the sandbox.

It speaks the Web API and Socket Mode to the app, and lets tests (or a page) act as the people of the workspace.
Run it with `python -m bot.sandbox.slack`; drive it with `bot.sandbox.slack.client.SlackWorld`.
"""
