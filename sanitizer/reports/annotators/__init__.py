"""What annotation tools import: findings as CVAT archives and Label Studio tasks, with the rows they speak of."""
